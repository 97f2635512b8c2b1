import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, CONTROL, open, page } from "./fixture.ts";

const hooks = () => browser.run("return typeof window.dayfly");
/** The module of the hooks, if it was fetched. */
const fetched = () =>
  browser.run(
    "return performance.getEntriesByType('resource').map((r) => r.name.split('/').pop()).filter((name) => name === 'hooks.js')",
  );

test("a page whose site does not ask for them has no hooks, and does not load them", async () => {
  for (const config of [
    { controlUrl: CONTROL, joinByLink: true },
    { controlUrl: CONTROL, joinByLink: true, testHooks: false },
  ]) {
    page.setConfig(config);
    // No link can ask for them.
    await open(`control=${CONTROL}&authkey=k&host=web-1&testHooks=true&testhooks=true`, "&testHooks=true");
    await browser.state("terminal");
    assert.deepEqual([await hooks(), await fetched()], ["undefined", []]);
  }
});

test("a site that asks for the hooks has them before anything is joined", async () => {
  await open(`control=${CONTROL}&authkey=k`, "&hold=control");
  await browser.until("joining", () => browser.run("return window.mock?.options"));
  assert.deepEqual([await hooks(), await fetched()], ["object", ["hooks.js"]]);
});
