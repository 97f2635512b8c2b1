/** Where the page's settings come from: `config.json` beside it, the URL's fragment, and then the form. */

import type { ConnectOptions } from "./api.ts";
import type { PageError } from "./errors.ts";

export interface Settings extends Partial<ConnectOptions> {
  /** Open a shell on this machine right after joining. */
  host?: string;
  /** As this user. */
  user?: string;
}

/** What `config.json` can say: settings, and what this site allows. No link can say the latter. */
export interface SiteConfig extends Settings {
  /** Tests may look into the page. */
  testHooks?: true;
  /** A link with a key joins this site's control server, and goes where it says, without a click. */
  joinByLink?: true;
}

const TEXT_KEYS = ["controlUrl", "authKey", "hostname", "controlKey", "host", "user"] as const;

/** What a link can choose for a person on the site's own control server: who they are, and where they go. */
const CHOICES = ["authKey", "host", "user", "hostname"] as const;

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
const MOST_RELAYS = 64;
/** How long the server may take to hand out `config.json`, in milliseconds. */
const CONFIG_TIMEOUT = 10_000;

/** Read `#control=...&authkey=...&host=...&user=...`. Unknown names are ignored. */
export function parseFragment(fragment: string): Settings {
  const settings: Settings = {};
  for (const [name, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    const key = FRAGMENT_NAMES[name.toLowerCase()];
    if (key && value && value.length <= LONGEST) settings[key] = value;
  }
  return settings;
}

/**
 * Take what is known from a parsed `config.json`; names that are not known are ignored.
 *
 * Throws where it is not what it should be: what was left out of it could be the pinned key.
 */
export function parseConfig(json: unknown): SiteConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new Error("it is no JSON object");
  const settings: SiteConfig = {};
  const given = json as Record<string, unknown>;
  for (const key of TEXT_KEYS) {
    const value = given[key] ?? "";
    if (typeof value !== "string" || value.length > LONGEST) throw new Error(`its ${key} is no text, or too long`);
    if (value) settings[key] = value;
  }
  if (settings.controlUrl && normalizeControlUrl(resolve(settings.controlUrl, "https://localhost")) === null) {
    throw new Error("its controlUrl is no address of a control server");
  }
  const relays = given.relays ?? {};
  if (typeof relays !== "object" || Array.isArray(relays)) throw new Error("its relays are no object");
  const entries = Object.entries(relays);
  if (entries.length > MOST_RELAYS) throw new Error(`it has more than ${MOST_RELAYS} relays`);
  if (!entries.every((entry): entry is [string, string] => typeof entry[1] === "string"))
    throw new Error("one of its relays is no text");
  if (entries.length > 0) settings.relays = Object.fromEntries(entries);
  for (const key of ["testHooks", "joinByLink"] as const) {
    const allowed = given[key] ?? false;
    if (typeof allowed !== "boolean") throw new Error(`its ${key} is neither true nor false`);
    if (allowed) settings[key] = true;
  }
  return settings;
}

/**
 * The control URL as the engine wants it: `https://host[:port][/path]` without a trailing slash; `null` if it is none.
 */
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
  /**
   * What to show before a click: the fragment names a control server that this site does not (`server`), or another key
   * of the server whose key this site has pinned (`key`), or it says who this page joins as or where it goes (`link`).
   */
  confirm: "server" | "key" | "link" | null;
  /** The authentication key is the fragment's. */
  linkKey: boolean;
}

/**
 * Put both together, and decide what may happen without a click.
 *
 * A link can carry a whole session. Following it must not be enough to join as somebody else, or to be led to a machine
 * of somebody else's choice: one control server may hold many tailnets. The page shows what the link says, and waits,
 * unless `config.json` has `joinByLink`. A control server that `config.json` names, or that serves this page, is this
 * site's own choice, and so is a key that is pinned: another one of either waits in any case.
 */
export function combine(config: SiteConfig, fragment: Settings, origin: string): Known {
  const { testHooks: _, joinByLink, ...site } = config;
  const configured = configuredUrl(config, origin);
  const asked = fragment.controlUrl ? normalizeControlUrl(resolve(fragment.controlUrl, origin)) : null;
  const controlUrl = asked ?? configured;
  const ours = controlUrl === null || isSites(controlUrl, configured, origin);
  const otherKey =
    ours &&
    controlUrl !== null &&
    config.controlKey !== undefined &&
    (fragment.controlKey ?? config.controlKey) !== config.controlKey;
  const foreign = !ours && originOf(controlUrl) !== origin ? "server" : otherKey ? "key" : null;
  const settings: Settings = {
    ...(ours && !foreign ? site : { hostname: config.hostname }),
    ...fragment,
  } as Settings;
  for (const key of TEXT_KEYS) if (settings[key] === undefined) delete settings[key];
  if (controlUrl) settings.controlUrl = controlUrl;
  if (settings.relays) settings.relays = absolute(settings.relays, origin);
  const complete = controlUrl !== null && settings.authKey !== undefined;
  const led = !joinByLink && CHOICES.some((choice) => fragment[choice] !== undefined);
  const confirm = foreign ?? (complete && led ? "link" : null);
  return { settings, start: complete && !confirm, confirm, linkKey: fragment.authKey !== undefined };
}

/**
 * Settings with what this site says of the control server that they name: its key and its gateways, unless they have
 * their own.
 */
export function withSite(settings: Settings, config: Settings, origin: string): Settings {
  const { controlUrl } = settings;
  if (!controlUrl || !isSites(controlUrl, configuredUrl(config, origin), origin)) return settings;
  const filled = { ...settings };
  if (config.controlKey) filled.controlKey ??= config.controlKey;
  if (config.relays) filled.relays ??= absolute(config.relays, origin);
  return filled;
}

/** The control server that `config.json` names. */
function configuredUrl(config: Settings, origin: string): string | null {
  return config.controlUrl ? normalizeControlUrl(resolve(config.controlUrl, origin)) : null;
}

/**
 * Whether what `config.json` says is about this control server: the one that it names, or else the page's own server.
 */
function isSites(controlUrl: string, configured: string | null, origin: string): boolean {
  return configured === null ? originOf(controlUrl) === origin : controlUrl === configured;
}

function absolute(relays: Record<string, string>, origin: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(relays).map(([region, url]) => [region, resolve(url, origin.replace(/^http/, "ws"))]),
  );
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
  const clean = new URL(location.href);
  clean.hash = "";
  try {
    // The whole address: a path that begins with `//` would be taken for another host.
    history.replaceState(null, "", clean.href);
  } catch {
    // Refused, as by a browser that limits how often: no history keeps the key this way either.
    location.replace("#");
  }
  return parseFragment(fragment);
}

let asked: Promise<SiteConfig> | undefined;

/**
 * What `config.json` beside the page says; a site without one has no settings. Rejects with a `PageError`.
 *
 * It is fetched once. A failure is not kept: who asks next has the server asked again.
 */
export function siteConfig(): Promise<SiteConfig> {
  if (asked) return asked;
  const asking = fetchConfig();
  asking.catch(() => (asked = undefined));
  return (asked = asking);
}

/** The name of this script's file. */
const SELF = new URL(import.meta.url).pathname.split("/").at(-1) ?? "";

/** As `siteConfig`, with each call. */
export async function fetchConfig(): Promise<SiteConfig> {
  try {
    const response = await fetch("./config.json", { cache: "no-cache", signal: AbortSignal.timeout(CONFIG_TIMEOUT) });
    if (response.status === 404 || response.status === 410) return {};
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    const text = await response.text();
    // Some hosts answer with the page itself where there is no such file.
    if (/^\s*</.test(text) && text.includes(SELF)) return {};
    return parseConfig(JSON.parse(text));
  } catch (error) {
    throw {
      step: "config",
      what: "This site's settings can't be read.",
      seen: `config.json: ${error instanceof Error ? error.message : String(error)}`,
      todo: "Try again. If it stays like this, whoever runs this site has to put it right. Without settings, its server should answer 404.",
    } satisfies PageError;
  }
}
