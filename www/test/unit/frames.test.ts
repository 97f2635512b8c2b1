import assert from "node:assert/strict";
import { test } from "node:test";
import { countOutput, dayflyFrame } from "../../src/term/frames.ts";

test("a flood is drawn a few times a second, anything else in the next frame", (t) => {
  let now = 1000;
  const frames: ((time: number) => void)[] = [];
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(performance, "now", () => now);
  Object.assign(globalThis, { requestAnimationFrame: (run: (time: number) => void) => frames.push(run) });
  let drawn = 0;
  const pass = (milliseconds: number) => {
    now += milliseconds;
    t.mock.timers.tick(milliseconds);
    for (const run of frames.splice(0)) run(now);
  };
  const draw = () => (drawn += 1);

  countOutput(100);
  assert.ok(dayflyFrame(draw) > 0);
  pass(16);
  assert.equal(drawn, 1);

  countOutput(100_000);
  assert.equal(dayflyFrame(draw), -1);
  pass(16);
  assert.equal(drawn, 1);
  pass(134);
  assert.equal(drawn, 2, "what came last in a flood is drawn too");

  pass(200);
  assert.ok(dayflyFrame(draw) > 0, "the flood is over");
  pass(16);
  assert.equal(drawn, 3);
});
