import assert from "node:assert/strict";
import { test } from "node:test";
import { isWebUrl } from "../../ui/links.ts";
import { clock, duration, plain, plainLines } from "../../ui/text.ts";

test("text from elsewhere stays on its line and in its direction", () => {
  assert.equal(plain("a\nb\x1b[31mc\u202eevil\u2066"), "a b [31mc evil");
  assert.equal(plain("x".repeat(300), 10), `${"x".repeat(9)}…`);
});

test("several lines stay several lines", () => {
  assert.equal(plainLines("a\r\nb\rc\x07"), "a\nb\nc");
});

test("only web addresses are links", () => {
  for (const url of ["https://example.com", "http://127.0.0.1:1/a"]) assert.ok(isWebUrl(url));
  for (const url of ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ssh://x", "//x", "x"])
    assert.ok(!isWebUrl(url), url);
});

test("durations read like durations", () => {
  assert.deepEqual([0, 42, 1234, 12_345, 125_000, 7_400_000].map(duration), [
    "1 ms",
    "42 ms",
    "1.2 s",
    "12 s",
    "2 min 5 s",
    "2 h 3 min",
  ]);
});

test("the clock has two digits", () => {
  assert.equal(clock(new Date(2026, 1, 1, 9, 5)), "09:05");
});
