/** The page's first script: paints the form, reads settings, and starts what they ask for. */

import { notice } from "../ui/dialogs.ts";
import { parsed } from "../ui/dom.ts";
import { App } from "./app.ts";
import { combine, type Settings, type SiteConfig, siteConfig, takeFragment } from "./config.ts";
import { engine } from "./engine.ts";
import { asPageError } from "./errors.ts";
import { lazy, whenIdle } from "./lazy.ts";

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

const app = new App(element("view"), element("shells"), site);
// Without a link's settings the form can be shown at once; it is filled in when the configuration is there.
if (!given) app.begin(combine({}, {}, location.origin));
performance.mark("dayfly:painted");

let touched = false;
addEventListener("input", () => (touched = true), { once: true });
begin(fragment, () => app.state === "boot" || (app.state === "join" && !touched));

/** Go on with what this site and a link say together, unless something else was begun before both were there. */
function begin(link: Settings, wanted: () => boolean): void {
  setTimeout(() => app.state === "boot" && wanted() && app.showReading(), SAY_AFTER);
  site().then(
    (settings) => {
      const nothing = Object.keys(settings).length + Object.keys(link).length === 0;
      // A form that has nothing to be filled with stays as it is.
      if (wanted() && !(nothing && app.state === "join")) app.begin(combine(settings, link, location.origin));
    },
    (error: unknown) =>
      wanted() && app.siteFailed(asPageError(error, "config"), () => begin(link, () => app.state === "boot")),
  );
}

// The terminal is fetched and evaluated when the module is no longer in its way.
void ready.then(() => whenIdle(() => void lazy("terminal").catch(() => {})));

// Firefox often runs no microtask of a page's first listener when a tab is closed, and the module's tasks are
// microtasks:
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

/** What this site says of connections. Where it wants the test hooks, nothing begins before they are there. */
async function site(): Promise<SiteConfig> {
  const { testHooks, ...settings } = await siteConfig();
  if (testHooks) (await lazy<typeof import("./hooks/hooks.ts")>("hooks")).install(app);
  return settings;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}
