import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_PASTE } from "../../src/term/paste.ts";
import { browser, shell, text } from "./fixture.ts";

test("a paste that is too long is refused as a whole", async () => {
  await shell("web-1");
  await browser.run("mock.typed = ''; dayfly.pasteText('x'.repeat(arguments[0] + 1))", LONGEST_PASTE);
  await browser.find(".notice");
  assert.match(await text(), /too long to paste/);
  assert.equal(await browser.run("return mock.typed"), "");
});
