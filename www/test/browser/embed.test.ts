import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, CONTROL, page, text } from "./fixture.ts";

test("the API works in a plain page with a strict policy", async () => {
  await browser.complaints();
  await browser.open(`${page.url}embed/`);
  await browser.fill("[name=control]", CONTROL);
  await browser.fill("[name=key]", "k");
  await browser.fill("[name=host]", "web-1");
  await browser.click("button");
  await browser.until("a prompt", async () => (await text()).includes("root@web-1"));
  await browser.fill("#line", "exit 3");
  await browser.keys("\uE007");
  await browser.until("its end", async () => (await text()).includes("ended with status 3"));
  assert.deepEqual(await browser.complaints(), []);
});

test("the plain page says what failed", async () => {
  await browser.open(`${page.url}embed/`);
  await browser.fill("[name=control]", "https://badkey.example.com");
  await browser.fill("[name=key]", "k");
  await browser.fill("[name=host]", "web-1");
  await browser.click("button");
  await browser.until("the error", async () => (await text()).includes("invalid pre auth key"));
});
