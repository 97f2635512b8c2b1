/** Where the page's settings come from: `config.json` beside it, the URL's fragment, and then the form. */

import type { ConnectOptions } from "./dayfly.ts";

export interface Settings extends Partial<ConnectOptions> {
  /** Open a shell on this machine right after joining. */
  host?: string;
  /** As this user. */
  user?: string;
}

const TEXT_KEYS = ["controlUrl", "authKey", "hostname", "controlKey", "host", "user"] as const;

/** Names of the fragment's parameters; the first one is the documented one. */
const FRAGMENT_NAMES: Record<string, (typeof TEXT_KEYS)[number]> = {
  control: "controlUrl",
  controlurl: "controlUrl",
  authkey: "authKey",
  hostname: "hostname",
  controlkey: "controlKey",
  host: "host",
  user: "user",
};

/** Longer values than this are nobody's name, key or address. */
const LONGEST = 2048;

/** Read `#control=...&authkey=...&host=...&user=...`. Unknown names are ignored. */
export function parseFragment(fragment: string): Settings {
  const settings: Settings = {};
  for (const [name, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    const key = FRAGMENT_NAMES[name.toLowerCase()];
    if (key && value && value.length <= LONGEST) settings[key] = value;
  }
  return settings;
}

/** Take what is known from a parsed `config.json`; anything else in it is ignored. */
export function parseConfig(json: unknown): Settings {
  const settings: Settings = {};
  if (typeof json !== "object" || json === null) return settings;
  const given = json as Record<string, unknown>;
  for (const key of TEXT_KEYS) {
    const value = given[key];
    if (typeof value === "string" && value && value.length <= LONGEST) settings[key] = value;
  }
  if (typeof given.relays === "object" && given.relays !== null) {
    const relays = Object.entries(given.relays as Record<string, unknown>);
    const kept = relays.filter((entry): entry is [string, string] => typeof entry[1] === "string");
    if (kept.length > 0) settings.relays = Object.fromEntries(kept.slice(0, 64));
  }
  return settings;
}

/** The control URL as the engine wants it: `https://host[:port][/path]` without a trailing slash; `null` if it is none. */
export function normalizeControlUrl(text: string): string | null {
  const trimmed = text.trim();
  if (!trimmed) return null;
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(trimmed);
  // A name typed without a scheme means TLS, except where no TLS is to be expected.
  const guess = /^(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(trimmed) ? "http://" : "https://";
  let url: URL;
  try {
    url = new URL(scheme ? trimmed : guess + trimmed);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  if (url.username || url.password || !url.hostname) return null;
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/** Everything that is known before a person types: the fragment over the configuration. */
export interface Known {
  settings: Settings;
  /** Go on without being asked to. */
  start: boolean;
  /** The fragment names a control server that this site does not: show it, and wait for a click. */
  foreign: boolean;
}

/**
 * Put both together, and decide what may happen without a click.
 *
 * A link can carry a whole session. If it names a control server of its own, following it must not be enough to join
 * there: the page shows where it would go and waits. A control server that `config.json` names, or that serves this
 * page, is this site's own choice.
 */
export function combine(config: Settings, fragment: Settings, origin: string): Known {
  const configured = config.controlUrl ? normalizeControlUrl(resolve(config.controlUrl, origin)) : null;
  const asked = fragment.controlUrl ? normalizeControlUrl(resolve(fragment.controlUrl, origin)) : null;
  const foreign = asked !== null && asked !== configured && originOf(asked) !== origin;
  const settings: Settings = { ...(foreign ? { hostname: config.hostname } : config), ...fragment } as Settings;
  for (const key of TEXT_KEYS) if (settings[key] === undefined) delete settings[key];
  const controlUrl = asked ?? configured;
  if (controlUrl) settings.controlUrl = controlUrl;
  if (settings.relays) {
    const absolute = ([region, url]: [string, string]): [string, string] => [region, resolve(url, origin.replace(/^http/, "ws"))];
    settings.relays = Object.fromEntries(Object.entries(settings.relays).map(absolute));
  }
  const start = !foreign && controlUrl !== null && settings.authKey !== undefined;
  return { settings, start, foreign };
}

/** `config.json` may say `"/"` or `"."` for "where this page is", and paths there. */
function resolve(url: string, origin: string): string {
  return url.startsWith("/") || url === "." ? origin + url.replace(/^\.?\/?/, "/") : url;
}

function originOf(url: string): string {
  return new URL(url).origin;
}

/** Take the settings out of the address bar, so that no history, no screenshot and no copied link carries a key. */
export function takeFragment(): Settings {
  const fragment = location.hash;
  if (!fragment) return {};
  history.replaceState(null, "", location.pathname + location.search);
  return parseFragment(fragment);
}

/** Fetch `config.json` from beside the page; a site without one has no settings. */
export async function fetchConfig(): Promise<Settings> {
  try {
    const response = await fetch("./config.json", { cache: "no-cache", signal: AbortSignal.timeout(4000) });
    if (!response.ok) return {};
    return parseConfig(await response.json());
  } catch {
    return {};
  }
}
