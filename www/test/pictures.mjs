// `node test/pictures.mjs DIR`: every state of the page, desktop and phone, light and dark.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Browser } from "./browser.mjs";
import { serve } from "./serve.mjs";

const out = process.argv[2] ?? "pictures";
const only = process.argv[3];
await mkdir(out, { recursive: true });
const page = await serve();
const browser = await Browser.start();

const LOOKS = [
  ["desktop-light", 1280, 800, false],
  ["desktop-dark", 1280, 800, true],
  ["phone-light", 390, 844, false],
  ["phone-dark", 390, 844, true],
];

/** All that moves has come to rest, but for what turns as long as it is there. */
const SETTLED = `return Promise.all(
  document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().iterations !== Infinity)
    .map((one) => one.finished.catch(() => {})),
).then(() => {})`;

async function take(name) {
  if (only && !name.includes(only)) return;
  for (const [look, width, height, dark] of LOOKS) {
    await browser.look(width, height, dark);
    await browser.run(SETTLED);
    await browser.picture(join(out, `${name}-${look}.png`));
  }
  await browser.look(1280, 800, false);
}

let visit = 0;
const go = (fragment, query = "") => browser.open(`${page.url}?v=${++visit}${query}#${fragment}`);
const control = "control=https://control.example.com";

try {
  page.setConfig({ controlUrl: "https://control.example.com", testHooks: true, joinByLink: true });
  await go("");
  await browser.state("join");
  await take("join");
  await go(`control=https://other.example.net&authkey=k&host=web-1&user=root`);
  await browser.state("join");
  await take("join-foreign");
  await go(`${control}&authkey=k`, "&hold=netmap");
  await browser.find("[data-step=netmap][data-progress=running]");
  await take("joining");
  await go("");
  await browser.click("[data-action=join]");
  await browser.state("needs-login");
  await take("needs-login");
  await go(`${control}&authkey=k`);
  await browser.state("machines");
  await take("machines");
  await browser.click('[data-machine="postgres"] [data-action=ssh]');
  await browser.state("connecting");
  await browser.until("banner", () => browser.run("return document.querySelector('.banner')"));
  await take("connecting");
  await go(`${control}&authkey=k`);
  await browser.state("machines");
  await browser.click('[data-machine="web-1"] [data-action=ssh]');
  await browser.state("terminal");
  await browser.run("dayfly.sendText('show\\r')");
  await browser.until("output", () => browser.run("return dayfly.terminalText().includes('a link with text')"));
  await take("terminal");
  await browser.click("[data-action=more]");
  await browser.click('[data-machine="web-2"] [data-action=ssh]');
  await browser.state("terminal");
  await browser.run("dayfly.sendText('show\\r')");
  await browser.click("[data-action=search]");
  await browser.keys("root");
  await take("terminal-tabs");
  await browser.run("dayfly.sendText('raw \\\\u001b]52;c;aGVsbG8gd29ybGQ=\\\\u0007\\r')");
  await browser.until("notice", () => browser.run("return document.querySelector('.notice')"));
  await take("terminal-notice");
  await go(`${control}&authkey=k`);
  await browser.state("machines");
  await browser.click('[data-machine="workshop"] [data-action=ssh]');
  await browser.find("dialog [data-answer=yes]");
  await take("dialog-host-key");
  await browser.click("dialog [data-answer=yes]");
  await browser.find("dialog #answer-0");
  await take("dialog-interactive");
  await go("control=https://down.example.com&authkey=k");
  await browser.click("[data-action=confirm]");
  await browser.state("error");
  await take("error");
  await go(`${control}&authkey=k&host=forged`);
  await browser.state("error");
  await take("error-host-key");
  await go(`${control}&authkey=k&host=web-1`);
  await browser.state("terminal");
  await browser.run("dayfly.sendText('exit 3\\r')");
  await browser.state("ended");
  await browser.until("removal", () => browser.run("return document.querySelector('[data-node=gone]')"));
  await take("ended");
  console.log((await browser.complaints()).join("\n") || "no complaints");
} finally {
  await browser.stop();
  await page.close();
}
