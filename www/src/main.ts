/** The page's first script: paints the form, reads settings, and starts what they ask for. */

import { App, type AppEvent } from "./app.ts";
import { Checksum } from "./checksum.ts";
import { combine, siteConfig, takeFragment, type Settings } from "./config.ts";
import { asDayflyError, engine } from "./dayfly.ts";
import { parsed } from "./dom.ts";
import { lazy, whenIdle } from "./lazy.ts";
import { notice } from "./views/dialogs.ts";

/** How long a page that joins by itself may show nothing, in milliseconds. */
const DRAW_AFTER = 150;
/** How long it may wait for this site's settings without saying so, in milliseconds. */
const SAY_AFTER = 1000;

// The address bar may hold a key, so that is first. Then begins what takes longest.
const fragment = takeFragment();
const ready = engine().then(
  () => {},
  () => {},
);
void siteConfig();
const given = Object.keys(fragment).length > 0;

// Drawing would hold up a module that is about to be ready, which a link leads to.
if (given) await Promise.race([ready, new Promise((resolve) => setTimeout(resolve, DRAW_AFTER))]);
await parsed();

const app = new App(element("view"), element("shells"));
// Without a link's settings the form can be shown at once; it is filled in when the configuration is there.
if (!given) app.begin(combine({}, {}, location.origin));
performance.mark("dayfly:painted");

let touched = false;
addEventListener("input", () => (touched = true), { once: true });
begin(fragment, () => app.state === "boot" || (app.state === "join" && !touched));

/** Go on with what this site and a link say together, unless something else was begun before both were there. */
function begin(link: Settings, wanted: () => boolean): void {
  setTimeout(() => app.state === "boot" && wanted() && app.showReading(), SAY_AFTER);
  siteConfig().then(
    (site) => {
      const nothing = Object.keys(site).length + Object.keys(link).length === 0;
      // A form that has nothing to be filled with stays as it is.
      if (wanted() && !(nothing && app.state === "join")) app.begin(combine(site, link, location.origin));
    },
    (error: unknown) =>
      wanted() && app.siteFailed(asDayflyError(error, "config"), () => begin(link, () => app.state === "boot")),
  );
}

// The terminal is fetched and evaluated when the module is no longer in its way.
void ready.then(() => whenIdle(() => void lazy("terminal").catch(() => {})));

// Firefox often runs no microtask of a page's first listener when a tab is closed, and the module's tasks are microtasks:
// in 18 of 48 closings the logout was never sent, with a listener before this one in none of 45.
addEventListener("pagehide", () => {}, { capture: true });
addEventListener("pagehide", () => app.pageHidden());
addEventListener("pageshow", (event) => {
  if (event.persisted) app.pageRestored();
});
// A link to this same page with other settings, pasted into the address bar of a page that is idle.
addEventListener("hashchange", () => {
  // Another module is needed for it, and the link is still in the address bar.
  if (app.broken) return location.reload();
  const link = takeFragment();
  if (app.idle) begin(link, () => app.idle);
  else if (Object.keys(link).length > 0) notice("This page is in use. Open the link in a tab of its own.");
});

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

let checksum: Checksum | null = null;
let stopChecksum = () => {};

/** For the browser's console and for tests: looks at the running page, and types. */
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
  terminalText: () => app.shells.current?.view?.text() ?? "",
  terminalSize: () => {
    const terminal = app.shells.current?.view?.terminal;
    return terminal ? { cols: terminal.cols, rows: terminal.rows } : null;
  },
  /** Give the terminal in front a size of its own, until the window changes. */
  resizeTerminal: (cols: number, rows: number) => app.shells.current?.view?.terminal.resize(cols, rows),
  /** Type, as the keyboard does. */
  sendText: (text: string) => app.shells.current?.view?.type(text),
  /** Paste, as the clipboard does. */
  pasteText: (text: string) => app.shells.current?.view?.paste(text),
  /** Bytes received, characters sent, replies of the emulator refused; of the terminal in front. */
  get counters() {
    return { ...app.shells.current?.view?.counters };
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

declare global {
  interface Window {
    dayfly: typeof dayfly;
  }
}

window.dayfly = Object.freeze(dayfly);
