/**
 * When xterm.js draws: see `xterm/`.
 *
 * Drawing costs the same for one new line as for a screenful, and more than receiving and parsing either. Where output
 * floods the screen faster than anybody reads, it is drawn a few times a second, and the rest of the time is the
 * shell's.
 */

/** So many bytes within one `WINDOW` are a flood: several screens. */
const FLOOD = 64 * 1024;
/** Milliseconds in which they are counted. */
const WINDOW = 100;
/** Milliseconds between two frames of a flood. */
const PAUSE = 150;

let windowStart = 0;
let inWindow = 0;
let floodUntil = 0;
let drawn = 0;

/** So many bytes are about to be parsed. */
export function countOutput(bytes: number): void {
  const now = performance.now();
  if (now - windowStart > WINDOW) {
    windowStart = now;
    inWindow = 0;
  }
  inWindow += bytes;
  if (inWindow >= FLOOD) floodUntil = now + WINDOW;
}

/**
 * What xterm.js gets when it asks for a frame to draw in: its number, or -1 for a later one, which can't be cancelled.
 */
export function dayflyFrame(draw: () => void): number {
  const frame = () =>
    requestAnimationFrame((now) => {
      drawn = now;
      draw();
    });
  const now = performance.now();
  const wait = now < floodUntil ? drawn + PAUSE - now : 0;
  if (wait <= 0) return frame();
  setTimeout(frame, wait);
  return -1;
}

/** xterm.js' selection, as far as it is looked at here. */
interface Selection {
  _model: { finalSelectionStart?: unknown };
  dayflyDrawn?: boolean;
}

/** Whether a selection is to be drawn, or to be wiped: without one xterm.js would draw all lines a second time. */
export function dayflySelection(selection: Selection): boolean {
  const selected = selection._model.finalSelectionStart !== undefined;
  const drawn = selection.dayflyDrawn === true;
  selection.dayflyDrawn = selected;
  return selected || drawn;
}

/**
 * An object with nothing in it: the same one, if there is nothing in it. A flood of lines would leave two behind for
 * each line.
 */
export function dayflyEmptied(object: object): object {
  for (const _ in object) return {};
  return object;
}
