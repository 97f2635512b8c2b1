import assert from "node:assert/strict";
import { test } from "node:test";
import { Checksum } from "../../src/hooks/checksum.ts";
import { floodChunk } from "../mock/flood.ts";
import { browser, CONTROL, open, page, see, shell, text, type } from "./fixture.ts";

test("the form can be filled in and leads to the machines", async () => {
  page.setConfig(null);
  await open();
  await browser.state("join");
  await browser.click("[data-action=join]");
  assert.match(await text(), /address of your control server is missing/);
  await browser.fill("#field-control", "control.example.com");
  await browser.fill("#field-authkey", "tskey-1");
  await browser.click("[data-action=join]");
  await browser.state("machines");
  assert.match(await text(), /web-1/);
});

test("what a link carries leaves the address bar before anything else", async () => {
  await open(`control=${CONTROL}&authkey=secret-key&host=web-1`);
  await browser.state("terminal");
  assert.equal(await browser.run("return location.hash + location.href.includes('secret')"), "false");
  assert.equal(await browser.run("return history.length > 0 && JSON.stringify(history.state)"), "null");
});

test("a link to a foreign control server waits for a click and says where it leads", async () => {
  await open("control=https://evil.example.net&authkey=k&host=web-1&user=root");
  await browser.state("join");
  assert.match(await text(), /https:\/\/evil\.example\.net/);
  assert.equal(await browser.run("return dayfly.tailnet"), null);
  await browser.click("[data-action=confirm]");
  await browser.state("terminal");
});

test("without a key the sign-in address is shown, and then it goes on by itself", async () => {
  await open();
  await browser.click("[data-action=join]");
  await browser.state("needs-login");
  const link = await browser.run(
    "const a = document.querySelector('[data-action=sign-in]'); return [a.href, a.rel, a.target]",
  );
  assert.deepEqual(link, [`${CONTROL}/register/nodekey-4f1d9a0c7be2`, "noopener noreferrer", "_blank"]);
  await browser.run("mock.signIn()");
  await browser.state("machines");
});

test("an administrator's approval is waited for, and then it goes on by itself", async () => {
  await open(`control=${CONTROL}&authkey=k`, "&approval");
  await browser.state("needs-approval");
  assert.match(await text(), /An administrator of this tailnet must approve dayfly-7f3a/);
  await browser.run("mock.approve()");
  await browser.state("machines");
});

test("a shell that is given up before it was drawn does not come back", async () => {
  await open(`control=${CONTROL}&authkey=k&host=web-1`, "&hold=login");
  await browser.until("its terminal", () => browser.run("return document.querySelector('#shells[data-ahead] .xterm')"));
  const left = await browser.run(`return new Promise((resolve) => {
    dayfly.on(({ event }) => event?.state === "running" && queueMicrotask(() => {
      document.querySelector("#view [data-action=cancel]").click();
      resolve([document.body.dataset.state, document.querySelectorAll(".pane").length]);
    }));
    mock.goOn();
  })`);
  assert.deepEqual(left, ["join", 0]);
});

test("machines are filtered and reached by keyboard alone", async () => {
  await open(`control=${CONTROL}&authkey=k`);
  await browser.state("machines");
  await browser.keys("tag:prod");
  assert.deepEqual(
    await browser.run("return [...document.querySelectorAll('[data-machine]')].map((m) => m.dataset.machine)"),
    ["web-1"],
  );
  await browser.keys("\uE007");
  await browser.state("terminal");
});

test("machines that are offline or expired can't be connected to", async () => {
  await open(`control=${CONTROL}&authkey=k`);
  await browser.state("machines");
  const disabled = await browser.run(
    "return [...document.querySelectorAll('[data-machine]:has(button:disabled)')].map((m) => m.dataset.machine)",
  );
  assert.deepEqual(disabled, ["backup", "old-pi"]);
});

test("what is typed comes back, and the status of its end is told", async () => {
  await open(`control=${CONTROL}&authkey=k&host=web-1&user=ada`);
  await browser.state("terminal");
  await see("ada@web-1");
  await browser.keys("nosuch\uE007");
  await see("nosuch: command not found");
  await browser.keys("exit 3\uE007");
  await browser.state("ended");
  assert.match(await text(), /Shell ended with status 3/);
  await browser.until("removal", () => browser.run("return document.querySelector('[data-node=gone]')"));
  assert.match(await text(), /The node dayfly-7f3a was removed from the tailnet at \d\d:\d\d\./);
});

test("a shell chosen from the list leads back to the list", async () => {
  await shell();
  await type("exit\r");
  await browser.state("ended");
  assert.match(await text(), /is still in the tailnet/);
  await browser.click("#shells [data-action=back]");
  await browser.state("machines");
  await browser.click("[data-action=leave]");
  await browser.state("ended");
  await browser.until("removal", () => browser.run("return document.querySelector('[data-node=gone]')"));
});

test("several shells are tabs", async () => {
  await shell();
  await browser.click("[data-action=more]");
  await browser.click('[data-machine="web-2"] [data-action=ssh]');
  await see("@web-2");
  assert.equal(await browser.run("return document.querySelectorAll('[role=tab]').length"), 2);
  await browser.click(".tab [role=tab]");
  await see("@web-1");
  await type("exit\r");
  await browser.state("ended");
  assert.doesNotMatch(await text(), /Leave the tailnet/);
});

test("each error names its step, what was seen, and what to do", async () => {
  for (const [fragment, parts] of [
    [
      "control=https://down.example.com&authkey=k",
      ["Reaching the control server", "closed with 1006", "Check the address"],
    ],
    ["control=https://badkey.example.com&authkey=k", ["Signing in", "invalid pre auth key", "Make a new key"]],
  ] as const) {
    await open(fragment);
    await browser.click("[data-action=confirm]");
    await browser.state("error");
    for (const part of parts) assert.ok((await text()).includes(part), part);
  }
  await open(`control=${CONTROL}&authkey=k&host=forged`);
  await browser.state("error");
  assert.match(await text(), /Checking the host key/);
  assert.equal(
    await browser.run("return document.querySelector('[data-step=host-key] button').dataset.action"),
    "back",
  );
  await browser.click("[data-action=back]");
  await browser.state("machines");
});

test("a connection that is lost says so", async () => {
  await shell();
  await type("lost\r");
  await browser.state("error");
  assert.match(await text(), /connection to the machine was lost/);
});

test("an unknown host key is asked for, and questions of the server are put", async () => {
  await open(`control=${CONTROL}&authkey=k&host=workshop`);
  await browser.find("dialog[data-question=host-key]");
  assert.match(await text(), /SHA256:Zk2nMi0Jr4tXr1o6mV0cQyqM2mQ3o8sV0F3Qd1y8c7A/);
  // Enter refuses: the careful answer has the focus.
  assert.equal(await browser.run("return document.activeElement.dataset.answer"), "no");
  await browser.click("dialog [data-answer=yes]");
  await browser.fill("#answer-0", "pw");
  await browser.fill("#answer-1", "123456");
  await browser.click("dialog [data-answer=yes]");
  await browser.state("terminal");
});

test("a refused host key ends the connection", async () => {
  await open(`control=${CONTROL}&authkey=k&host=workshop`);
  await browser.click("dialog [data-answer=no]");
  await browser.state("error");
  assert.match(await text(), /You refused the host key/);
});

test("a banner's web address is a link", async () => {
  await open(`control=${CONTROL}&authkey=k&host=postgres`);
  const href = await browser.until("banner", () => browser.run("return document.querySelector('.banner a')?.href"));
  assert.equal(href, "https://login.example.com/a/1d2e3f4a5b6c");
  await browser.click("[data-action=cancel]");
  await browser.state("machines");
});

test("a hostile program gets no answer that it could choose, and no clipboard", async () => {
  await shell();
  const questions = [
    "\\u001b]52;c;?\\u0007",
    "\\u001b[21t",
    "\\u001b[20t",
    "\\u001bP$qm\\u001b\\\\",
    "\\u001b[>q",
    "\\u001b]0;$(reboot)\\u0007\\u001b[21t",
  ];
  await browser.run("mock.typed = ''");
  const line = `raw ${questions.join("")}done`;
  await type(`${line}\r`);
  await see("done");
  assert.equal(await browser.run("return mock.typed"), `${line}\r`);
  assert.equal(await browser.run("return document.querySelector('.notice')"), null);
  // What is harmless is answered, or programs would wait.
  await browser.run("mock.typed = ''");
  await type("raw \\u001b[c\\u001b[6n\\u001b]11;?\\u0007\r");
  await browser.until("answers", () =>
    browser.run("return /\\x1b\\[\\?1;2c\\x1b\\[\\d+;\\d+R\\x1b\\]11;rgb:/.test(mock.typed)"),
  );
});

test("a program's offer for the clipboard waits for consent", async () => {
  await shell();
  await type(`raw \\u001b]52;c;${btoa("offered")}\\u0007\r`);
  await browser.find("[data-action=notice]");
  assert.match(await text(), /web-1 wants to put 7 characters on your clipboard/);
});

test("input that is dropped is told, and the shell goes on", async () => {
  await shell();
  await type("behind\r");
  await browser.find(".notice");
  assert.match(await text(), /web-1 is behind/);
  await type("still here\r");
  await see("still here: command not found");
  assert.equal(await browser.run("return document.body.dataset.state"), "terminal");
});

test("titles are text", async () => {
  await shell();
  await type("raw \\u001b]0;<img src=x onerror=alert(1)>\\u202e\\u0007\r");
  await browser.until("title", () => browser.run("return document.title.startsWith('<img')"));
  assert.equal(await browser.run("return document.images.length"), 0);
});

test("a link whose text differs is shown before it is opened; other schemes are no links", async () => {
  await shell();
  await browser.run("window.open = (url, _, features) => { window.opened = [url, features] }");
  await type("raw \\u001b]8;;https://example.com/real\\u001b\\\\https://bank.example\\u001b]8;;\\u001b\\\\\\r\\nend\r");
  // The screen is drawn a frame after the buffer has changed.
  const drawn = `[...document.querySelectorAll(".xterm-rows > div")].some((row) => row.textContent.startsWith("https://bank.example"))`;
  await browser.until("the link on the screen", () => browser.run(`return ${drawn}`));
  const spot = await browser.run(`
    const rows = [...document.querySelectorAll(".xterm-rows > div")];
    const row = rows.findLast((row) => row.textContent.startsWith("https://bank.example"));
    const box = row.getBoundingClientRect();
    return { x: Math.round(box.left + 20), y: Math.round(box.top + box.height / 2) };`);
  await browser.pointer(spot);
  await browser.find("dialog[data-question=link]");
  assert.match(await text(), /https:\/\/example\.com\/real/);
  await browser.click("dialog [data-answer=yes]");
  await browser.until("window.open", () => browser.run("return window.opened"));
  assert.deepEqual(await browser.run("return window.opened"), ["https://example.com/real", "noopener,noreferrer"]);
});

test("several lines are pasted after consent, and in brackets without", async () => {
  await shell();
  await browser.run("mock.typed = ''; dayfly.pasteText('one\\ntwo\\n')");
  await browser.find("dialog[data-question=paste]");
  await browser.click("dialog [data-answer=no]");
  assert.equal(await browser.run("return mock.typed"), "");
  await type("raw \\u001b[?2004h\r");
  await browser.until("brackets", () => browser.run("return dayfly.terminalText().trim().endsWith('#')"));
  await browser.run("mock.typed = ''; dayfly.pasteText('one\\n\\x1b[201~two')");
  assert.equal(await browser.run("return mock.typed"), "\x1b[200~one\r[201~two\x1b[201~");
});

test("output is seen byte by byte, and Ctrl-C answers in the middle of a flood", async () => {
  await shell();
  await browser.run("dayfly.startChecksum({ after: 'flood 8\\r\\n', length: 8 * 1024 * 1024 })");
  await type("flood 8\r");
  await browser.until("8 MiB", () => browser.run("return dayfly.checksum.bytes >= 8 * 1024 * 1024"), 30_000);
  const expected = new Checksum();
  for (let chunk = 0; chunk < 512; chunk++) expected.update(floodChunk());
  assert.deepEqual(await browser.run("return dayfly.checksum"), expected.result());
  await browser.until("prompt", () => browser.run("return dayfly.terminalText().endsWith('#')"), 30_000);
  await type("flood 2000\r");
  await browser.until("flood", () => browser.run("return dayfly.counters.received > 10e6"), 30_000);
  const began = Date.now();
  await type("\x03");
  await see("^C");
  assert.ok(Date.now() - began < 2000, `${Date.now() - began} ms`);
});

test("UTF-8 split between chunks, emoji, wide characters and broken bytes are drawn", async () => {
  await shell();
  await type("show\r");
  await see("日本語 ✓ emoji 👩‍🚀 🦋 ünïcödé");
  await type("hex 3ce2 82ac41 f09f a68b e282 42 ff 43c3 a93e\r");
  await see("<€A🦋\ufffdB\ufffdCé>");
});

test("the terminal's size follows the window and can be set", async () => {
  await shell();
  await browser.run("dayfly.resizeTerminal(100, 30)");
  assert.deepEqual(await browser.run("return dayfly.terminalSize()"), { cols: 100, rows: 30 });
  await browser.until("told", () => browser.run("return mock.sizes.at(-1) === '100x30'"));
});

test("search finds and counts", async () => {
  await shell();
  await type("show\r");
  await see("a link with text");
  await browser.click("[data-action=search]");
  await browser.keys("root");
  await browser.until("count", () =>
    browser.run("return /^\\d+ of \\d+$/.test(document.querySelector('.search-count').textContent)"),
  );
});

test("losing the control server shows in the status and nowhere else", async () => {
  await shell();
  await browser.run("mock.tell({ type: 'state', state: 'reconnecting' })");
  await browser.until("status", async () => (await text()).includes("Reconnecting"));
  await browser.state("terminal");
  await browser.run("mock.tell({ type: 'state', state: 'running' })");
  await browser.until("status", async () => !(await text()).includes("Reconnecting"));
});

test("a node that the control server removes is told", async () => {
  await shell();
  await browser.run("mock.tell({ type: 'state', state: 'closed' })");
  await browser.state("ended");
  assert.match(await text(), /The tailnet let this page go/);
});

test("leaving the page logs the node out at once", async () => {
  await shell();
  await browser.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))");
  assert.equal(await browser.run("return document.documentElement.dataset.closed"), "now");
  await browser.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))");
  await browser.state("ended");
  assert.match(await text(), /logged out when the page was put away/);
});

test("a terminal module that somebody changed is not run", async () => {
  page.tamper("terminal.js");
  await open(`control=${CONTROL}&authkey=k`);
  await browser.state("machines");
  await browser.click('[data-machine="web-1"] [data-action=ssh]');
  await browser.state("error");
  assert.match(await text(), /terminal\.js could not be loaded/);
  await browser.complaints();
});

test("a module that somebody changed is not started", async () => {
  page.tamper("mock.js");
  await open(`control=${CONTROL}&authkey=k`);
  await browser.state("error");
  assert.match(await text(), /WebAssembly module could not be started/);
  page.tamper(null);
  await browser.click("[data-action=reload]");
  await browser.state("join");
  await browser.complaints();
});

test("nothing is kept, nothing is blocked, nothing foreign is asked for", async () => {
  await browser.complaints();
  await shell("web-1", "&user=root");
  await type("show\r");
  await see("a link with text");
  assert.deepEqual(await browser.run("return [localStorage.length, sessionStorage.length, document.cookie]"), [
    0,
    0,
    "",
  ]);
  assert.equal(await browser.run("return indexedDB.databases().then((all) => all.length)"), 0);
  const foreign = await browser.run(
    "return performance.getEntriesByType('resource').map((r) => r.name).filter((name) => !name.startsWith(location.origin))",
  );
  assert.deepEqual(foreign, []);
  assert.deepEqual(await browser.complaints(), []);
});
