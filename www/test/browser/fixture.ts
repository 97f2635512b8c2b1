/** The page with the mock, and a browser in front of it; for each file of tests one of both. */

import { after, before, beforeEach } from "node:test";
import { Browser } from "../browser.mjs";
import { serve } from "../serve.mjs";

export const CONTROL = "https://control.example.com";

interface Page {
  url: string;
  setConfig(config: unknown): void;
  tamper(name: string | null): void;
  close(): Promise<void>;
}

export let page: Page;
// biome-ignore lint/suspicious/noExplicitAny: browser.mjs is plain JavaScript, and what it returns is the page's.
export let browser: any;
let visit = 0;

before(async () => {
  page = await serve();
  browser = await Browser.start();
});
after(async () => {
  await browser?.stop();
  await page?.close();
});
beforeEach(() => {
  page.setConfig({ controlUrl: CONTROL, testHooks: true, joinByLink: true });
  page.tamper(null);
});

export const open = (fragment = "", query = ""): Promise<void> =>
  browser.open(`${page.url}?v=${++visit}${query}#${fragment}`);
export const text = (): Promise<string> => browser.run("return document.body.innerText");
export const see = (what: string): Promise<void> =>
  browser.until(what, async () => (await browser.run("return dayfly.terminalText()")).includes(what));
export const type = (line: string): Promise<void> => browser.run("dayfly.sendText(arguments[0])", line);

/** Join, and open a shell from the list. */
export async function shell(host = "web-1", extra = ""): Promise<void> {
  await open(`control=${CONTROL}&authkey=k${extra}`);
  await browser.state("machines");
  await browser.click(`[data-machine="${host}"] [data-action=ssh]`);
  await browser.state("terminal");
  await see("~#");
}

/** Open one more from the list. */
export async function another(host: string): Promise<void> {
  await browser.click("[data-action=more]");
  await browser.click(`[data-machine="${host}"] [data-action=ssh]`);
}
