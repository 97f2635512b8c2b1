/**
 * `window.dayfly`: what tests and measurements see of the running page, and how they type into it.
 *
 * Loaded only where this site's `config.json` has `"testHooks": true`, and before anything is joined there.
 */

import type { App, AppEvent } from "../app.ts";
import { Checksum } from "./checksum.ts";

/** Make `window.dayfly`, which looks at this page. */
export function install(app: App): void {
  let checksum: Checksum | null = null;
  let stopChecksum = () => {};
  const view = () => app.shells.current?.view ?? null;

  const dayfly = {
    get state() {
      return app.state;
    },
    get tailnet() {
      return app.tailnet;
    },
    get shell() {
      return app.shells.current?.shell ?? null;
    },
    /** Hear what happens; returns how to stop that. */
    on(listener: (event: AppEvent) => void): () => void {
      app.listeners.add(listener);
      return () => app.listeners.delete(listener);
    },
    /** All text of the terminal in front, scrollback included. */
    terminalText: () => view()?.text() ?? "",
    terminalSize: () => {
      const terminal = view()?.terminal;
      return terminal ? { cols: terminal.cols, rows: terminal.rows } : null;
    },
    /** Give the terminal in front a size of its own, until the window changes. */
    resizeTerminal: (cols: number, rows: number) => view()?.terminal.resize(cols, rows),
    /** Type, as the keyboard does. */
    sendText: (text: string) => view()?.type(text),
    /** Paste, as the clipboard does. */
    pasteText: (text: string) => view()?.paste(text),
    /** Bytes received, characters sent, replies of the emulator refused; of the terminal in front. */
    get counters() {
      return { ...view()?.counters };
    },
    /** Sum the output from here on, or `length` bytes after the first `after` in it. */
    startChecksum(part?: { after?: string; length?: number }): void {
      stopChecksum();
      const started = new Checksum(part);
      checksum = started;
      stopChecksum = dayfly.tap((chunk) => started.update(chunk));
    },
    /** What `cksum` prints for what was summed so far. */
    get checksum() {
      return checksum?.result() ?? null;
    },
    /** See each chunk of output before it is drawn; returns how to stop that. */
    tap(listener: (chunk: Uint8Array) => void): () => void {
      app.taps.add(listener);
      return () => app.taps.delete(listener);
    },
  };
  Object.assign(window, { dayfly: Object.freeze(dayfly) });
}
