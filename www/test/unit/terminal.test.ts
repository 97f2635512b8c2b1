import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOsc52 } from "../../src/term/clipboard.ts";
import { cleanPaste, LONGEST_PASTE, needsConsent, pasteBytes, preview } from "../../src/term/paste.ts";
import { mayBeSent } from "../../src/term/replies.ts";

const ESC = "\x1b";

test("keys, mouse and focus pass", () => {
  const keys = [
    "a",
    "\r",
    "\x03",
    "é",
    "👍",
    ESC,
    `${ESC}a`,
    `${ESC}[A`,
    `${ESC}OA`,
    `${ESC}OP`,
    `${ESC}[1;5C`,
    `${ESC}[3~`,
    `${ESC}[15;2~`,
    `${ESC}[Z`,
    `${ESC}[I`,
    `${ESC}[O`,
  ];
  const mouse = [`${ESC}[<0;12;7M`, `${ESC}[<35;120;40m`, `${ESC}[M !!`, `${ESC}[32;12;7M`];
  for (const text of [...keys, ...mouse]) assert.ok(mayBeSent(text), JSON.stringify(text));
});

test("answers of numbers pass", () => {
  for (const text of [
    "[?1;2c",
    "[>0;276;0c",
    "[0n",
    "[24;80R",
    "[?24;80R",
    "[?2004;1$y",
    "[8;24;80t",
    "]11;rgb:fdfd/fcfc/fafa\x1b\\",
    "]4;255;rgb:0000/ffff/00aa\x1b\\",
  ])
    assert.ok(mayBeSent(ESC + text), text);
});

test("answers that carry text do not", () => {
  const answers = [
    `${ESC}]l;rm -rf ~${ESC}\\`,
    `${ESC}]L;title${ESC}\\`,
    `${ESC}]11;rgb:ffff/ffff/rm -rf${ESC}\\`,
    `${ESC}]4;1;rgb:ffff/ffff/ffff${ESC}\\\r`,
    `${ESC}]52;c;c2VjcmV0${ESC}\\`,
    `${ESC}P1$r0m${ESC}\\`,
    `${ESC}P>|xterm.js(6.0.0)${ESC}\\`,
    `${ESC}_Gi=1;OK${ESC}\\`,
    `${ESC}[1;1Rls\r`,
    `${ESC}[0n\r`,
  ];
  for (const text of answers) assert.ok(!mayBeSent(text), JSON.stringify(text));
});

test("a paste can't leave its brackets", () => {
  const clean = cleanPaste(`safe${ESC}[201~\nrm -rf ~\n`);
  assert.equal(clean, "safe[201~\rrm -rf ~\r");
  assert.equal(pasteBytes(clean, true), `${ESC}[200~${clean}${ESC}[201~`);
});

test("a paste carries no control characters but tab and Enter", () => {
  assert.equal(cleanPaste("a\x00b\x03c\x04d\x1be\x7ff\x9bg\th\r\ni\nj"), "abcdefg\th\ri\rj");
});

test("a paste is whole", () => {
  const long = "x".repeat(LONGEST_PASTE + 10);
  assert.equal(cleanPaste(long), long);
});

test("several lines need consent, where no brackets hold them", () => {
  assert.ok(needsConsent("a\rb", false));
  assert.ok(needsConsent("a\r", false));
  assert.ok(!needsConsent("a", false));
  assert.ok(!needsConsent("a\rb", true));
});

test("a preview shows the first lines", () => {
  assert.equal(preview(Array.from({ length: 10 }, (_, line) => `l${line}`).join("\r"), 2), "l0\nl1\n… 8 more lines");
});

test("a program may offer a text for the clipboard", () => {
  assert.deepEqual(parseOsc52(`c;${btoa("hello")}`), { kind: "write", text: "hello" });
  assert.deepEqual(parseOsc52(";4pyT"), { kind: "write", text: "✓" });
});

test("reading the clipboard is told apart, and nonsense is ignored", () => {
  assert.deepEqual(parseOsc52("c;?"), { kind: "read" });
  for (const data of ["", "c", "c;", "c;!!!", "c;/w==", "zz;aGk=", `c;${"A".repeat(200_000)}`])
    assert.deepEqual(parseOsc52(data), { kind: "ignore" }, data.slice(0, 20));
});
