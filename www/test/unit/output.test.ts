import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputReader } from "../../src/term/output.ts";

/** What xterm.js would make of all that was read, and how much of it was handed on as bytes. */
function read(chunks: Uint8Array[]): { text: string; bytes: number } {
  const reader = new OutputReader();
  let bytes = 0;
  const texts = chunks.map((chunk) => {
    const out = reader.read(chunk);
    if (typeof out === "string") return out;
    bytes += out.length;
    return new TextDecoder().decode(out);
  });
  return { text: texts.join(""), bytes };
}

/** The same bytes in pieces of this length. */
function pieces(bytes: Uint8Array, length: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / length);
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * length, (index + 1) * length));
}

test("wherever it is cut, output is the same text", () => {
  const text = "plain ünïcödé € 日本語 👩‍🚀 and plain again\r\n".repeat(3);
  const bytes = new TextEncoder().encode(text);
  for (let length = 1; length <= bytes.length; length++)
    assert.equal(read(pieces(bytes, length)).text, text, `${length}`);
});

test("what is no UTF-8 is shown as such, also where the next chunk is plain", () => {
  const chunks = [[0x41], [0xe2, 0x82], [], [0x42], [0xff], [0x43], [0xc3], [0xa9, 0x44]];
  assert.equal(read(chunks.map((chunk) => Uint8Array.from(chunk))).text, "A\ufffdB\ufffdC\u00e9D");
});

test("plain output is handed on as it is", () => {
  const plain = new TextEncoder().encode("total 48\r\n");
  assert.deepEqual(read([plain, plain]), { text: "total 48\r\n".repeat(2), bytes: 20 });
  assert.equal(read([new TextEncoder().encode("é"), plain, plain]).bytes, 10);
});
