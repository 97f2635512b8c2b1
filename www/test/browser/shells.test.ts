import assert from "node:assert/strict";
import { test } from "node:test";
import { LONGEST_PASTE } from "../../src/term/paste.ts";
import { another, browser, CONTROL, open, see, shell, text, type } from "./fixture.ts";

const state = () => browser.run("return document.body.dataset.state");
const filter = () => browser.run("return document.activeElement.id === 'filter' && document.activeElement.value");
const panes = (of: string) => browser.run(`return document.querySelectorAll(".pane[data-state=${of}]").length`);

test("a shell that ends takes nobody away from the list", async () => {
  await shell("web-1");
  await another("web-2");
  await see("@web-2");
  await browser.click("[data-action=more]");
  await browser.run("mock.typed = ''");
  await browser.keys("web");
  await browser.run("mock.shells[0].finish({ status: 0 })");
  await browser.until("its end", async () => (await panes("ended")) === 1);
  await browser.keys("-1");
  assert.deepEqual([await state(), await filter(), await browser.run("return mock.typed")], ["machines", "web-1", ""]);
  await browser.click("[data-action=shells]");
  await browser.state("terminal");
  await see("@web-2");
  assert.equal(await browser.run("return document.activeElement.closest('.pane')?.dataset.state"), "open");
});

test("a shell that opens takes nobody away from the list", async () => {
  await shell("web-1");
  await another("postgres");
  await browser.find(".banner");
  await browser.click("[data-action=more]");
  await browser.keys("web");
  await browser.run("mock.typed = ''; mock.pass()");
  await browser.until("its opening", async () => (await panes("open")) === 2);
  await browser.keys("-1");
  assert.deepEqual([await state(), await filter(), await browser.run("return mock.typed")], ["machines", "web-1", ""]);
});

test("the node of a link's shell stays while the list is on screen", async () => {
  await open(`control=${CONTROL}&authkey=k&host=web-1`);
  await browser.state("terminal");
  await browser.click("[data-action=more]");
  await browser.run("mock.shells[0].finish({ status: 0 })");
  await browser.until("its end", async () => (await panes("ended")) === 1);
  assert.equal(await browser.run("return dayfly.tailnet !== null"), true);
  await browser.click('[data-machine="web-2"] [data-action=ssh]');
  await see("@web-2");
});

test("a connection that is given up is given up by the module too", async () => {
  const begun = async () => {
    await shell("web-1");
    await another("postgres");
    await browser.find(".banner");
    assert.deepEqual(await browser.run("return mock.aborted"), []);
  };
  const ways = {
    cancelled: () => browser.click(".pane:not([hidden]) [data-action=cancel]"),
    "its tab closed": () => browser.click(".tab[data-selected=true] .tab-close"),
    left: async () => {
      await browser.click("[data-action=more]");
      await browser.click("[data-action=leave]");
    },
    "let go by the control server": () => browser.run("mock.tell({ type: 'state', state: 'closed' })"),
  };
  for (const [way, run] of Object.entries(ways)) {
    await begun();
    await run();
    await browser.until(way, () => browser.run("return mock.aborted.includes('postgres')"));
    assert.equal(await panes("connecting"), 0, way);
  }
});

test("a question closes with the connection that asks it", async () => {
  await shell("web-1");
  await another("workshop");
  await browser.find("dialog[data-question=host-key]");
  await browser.run("mock.hangUp()");
  await browser.state("error");
  assert.match(await text(), /The machine has hung up/);
  await browser.until("no dialog", () => browser.run("return document.querySelector('dialog') === null"));
  assert.deepEqual(await browser.run("return mock.aborted"), ["workshop"]);

  await browser.click(".pane:not([hidden]) [data-action=retry]");
  await browser.click("dialog[data-question=host-key] [data-answer=yes]");
  await browser.find("dialog[data-question=keyboard-interactive]");
  await browser.run("mock.tell({ type: 'state', state: 'closed' })");
  await browser.state("ended");
  await browser.until("no dialog", () => browser.run("return document.querySelector('dialog') === null"));
});

test("a question says who asks, and keeps its lines and its addresses", async () => {
  await shell("web-1");
  await another("workshop");
  const asked = (within: string) =>
    browser.run(`return document.querySelector("dialog ${within}").textContent`) as Promise<string>;
  await browser.find("dialog[data-question=host-key]");
  assert.match(await asked(".asker"), /@workshop$/);
  await browser.click("dialog[data-question=host-key] [data-answer=yes]");
  await browser.find("dialog[data-question=keyboard-interactive]");
  assert.match(await asked(".asker"), /@workshop$/);
  const menu = await asked("label[for=answer-1]");
  assert.equal(menu.split("\n").length, 8);
  assert.match(menu, /without spaces:$/);
  assert.equal(await asked("label[for=answer-1] a"), "https://duo.example.com/devices/enroll?account=workshop");
});

test("a module that stops ends everything, and the page says so", async () => {
  await shell("web-1");
  await browser.run("mock.panic()");
  await browser.state("error");
  assert.match(await text(), /Dayfly itself has failed/);
  assert.match(await text(), /panicked at the mock/);
  assert.deepEqual([await panes("open"), await browser.run("return dayfly.tailnet")], [0, null]);
  await browser.click("[data-action=reload]");
  await browser.state("join");
});

test("a module that stops while the page leaves is told too", async () => {
  await open(`control=${CONTROL}&authkey=k`);
  await browser.state("machines");
  await browser.run("document.querySelector('[data-action=leave]').click(); mock.panic()");
  await browser.state("error");
  await browser.find("[data-action=reload]");
  // A link that comes now gets a module that works.
  await browser.run(`location.hash = "control=${CONTROL}&authkey=k&host=web-2"`);
  await browser.state("terminal");
  await see("@web-2");
});

test("a link that is pasted into the address bar ends no shell", async () => {
  await shell("web-1");
  await another("web-2");
  await see("@web-2");
  await browser.click(".tab [role=tab]");
  await see("@web-1");
  await type("exit\r");
  await browser.state("ended");
  const follow = () => browser.run(`location.hash = "control=${CONTROL}&authkey=k&host=postgres"`);
  await follow();
  await browser.find(".notice");
  assert.match(await text(), /This page is in use/);
  assert.equal(await browser.run("return location.hash"), "");
  assert.deepEqual([await state(), await panes("open")], ["ended", 1]);

  await browser.run("mock.shells[1].finish({ status: 0 })");
  await browser.until("its end", async () => (await panes("ended")) === 2);
  await follow();
  await browser.state("connecting");
  assert.equal(await browser.run("return document.querySelectorAll('[role=tab]').length"), 1);
});

test("a paste that is too long is refused as a whole", async () => {
  await shell("web-1");
  await browser.run("mock.typed = ''; dayfly.pasteText('x'.repeat(arguments[0] + 1))", LONGEST_PASTE);
  await browser.find(".notice");
  assert.match(await text(), /too long to paste/);
  assert.equal(await browser.run("return mock.typed"), "");
});
