import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { Checksum } from "../../src/hooks/checksum.ts";

const cksum = (input: Uint8Array) => {
  const [crc, bytes] = execFileSync("cksum", { input, encoding: "utf8" }).split(" ").map(Number);
  return { crc, bytes };
};

test("it is what cksum prints, however the bytes are cut", () => {
  const input = Uint8Array.from({ length: 100_003 }, (_, index) => (index * 7919) >> 3);
  const sum = new Checksum();
  for (let at = 0; at < input.length; at += 977) sum.update(input.subarray(at, at + 977));
  assert.deepEqual(sum.result(), cksum(input));
  assert.deepEqual(new Checksum().result(), cksum(new Uint8Array()));
});

test("it begins after the marker and ends after the length", () => {
  const sum = new Checksum({ after: "BEGIN", length: 5 });
  for (const piece of ["$ print BE", "GI BEGINhe", "llo and more"]) sum.update(new TextEncoder().encode(piece));
  assert.deepEqual(sum.result(), cksum(new TextEncoder().encode("hello")));
});
