import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { combine, fetchConfig, normalizeControlUrl, parseConfig, parseFragment, withSite } from "../../src/config.ts";

const HERE = "https://here.example.com";

test("a fragment's parameters are read, and others ignored", () => {
  const settings = parseFragment("#control=https%3A%2F%2Fc.example.com&authkey=k%2B1&host=web-1&user=root&evil=1");
  assert.deepEqual(settings, { controlUrl: "https://c.example.com", authKey: "k+1", host: "web-1", user: "root" });
});

test("endless values are nobody's settings", () => {
  assert.deepEqual(parseFragment(`#host=${"a".repeat(5000)}`), {});
});

test("a configuration of another shape is an error, not no configuration", () => {
  const broken = [
    null,
    3,
    "x",
    [],
    { controlUrl: 3 },
    { controlUrl: "ftp://c.example.com" },
    { controlKey: {} },
    { authKey: "a".repeat(5000) },
    { relays: [] },
    { relays: "x" },
    { relays: { "1": 2 } },
  ];
  const many = { relays: Object.fromEntries(Array.from({ length: 65 }, (_, region) => [region, "wss://g"])) };
  for (const json of [...broken, many]) assert.throws(() => parseConfig(json), JSON.stringify(json));
});

test("a configuration's known keys are taken", () => {
  const json = {
    controlUrl: "/",
    hostname: "h",
    authKey: "",
    user: null,
    relays: { "*": "wss://g.example.com" },
    other: true,
  };
  assert.deepEqual(parseConfig(json), { controlUrl: "/", hostname: "h", relays: { "*": "wss://g.example.com" } });
});

test("a configuration may ask for the test hooks and for links that join, and a fragment may not", () => {
  for (const name of ["testHooks", "joinByLink"]) {
    assert.deepEqual(parseConfig({ [name]: true }), { [name]: true });
    assert.deepEqual(parseConfig({ [name]: false }), {});
    for (const value of ["true", 1, {}]) assert.throws(() => parseConfig({ [name]: value }));
    assert.deepEqual(parseFragment(`#${name}=true&${name.toLowerCase()}=true`), {});
  }
});

test("only a file that is not there is no configuration", async () => {
  const answers = (make: () => Response) => mock.method(globalThis, "fetch", async () => make());
  const self = new URL(import.meta.url).pathname.split("/").at(-1);
  for (const make of [
    () => new Response("", { status: 404 }),
    () => new Response("gone", { status: 410 }),
    () => new Response(`<!doctype html><script src="./${self}"></script>`),
  ]) {
    answers(make);
    assert.deepEqual(await fetchConfig(), {});
  }
  for (const make of [
    () => new Response("{}", { status: 500 }),
    () => new Response("{}", { status: 403 }),
    () => new Response("{"),
    () => new Response("<p>Sign in</p>"),
  ]) {
    answers(make);
    await assert.rejects(fetchConfig(), { step: "config" });
  }
  mock.method(globalThis, "fetch", async () => {
    throw new DOMException("signal timed out", "TimeoutError");
  });
  await assert.rejects(fetchConfig(), { step: "config", seen: "config.json: signal timed out" });
  mock.reset();
});

test("relays may be paths of the server that the page comes from", () => {
  const relays = { "*": "/gateway/derp/", "7": "wss://g.example.com/derp" };
  const known = combine({ controlUrl: "/", relays }, {}, HERE);
  assert.deepEqual(known.settings.relays, {
    "*": "wss://here.example.com/gateway/derp/",
    "7": "wss://g.example.com/derp",
  });
  assert.equal(
    combine({ controlUrl: "/", relays }, { controlUrl: "https://other.example.com" }, HERE).settings.relays,
    undefined,
  );
});

test("control URLs are http or https and nothing else", () => {
  assert.equal(normalizeControlUrl("c.example.com"), "https://c.example.com");
  assert.equal(normalizeControlUrl(" https://c.example.com/ "), "https://c.example.com");
  assert.equal(normalizeControlUrl("http://127.0.0.1:8080/a/"), "http://127.0.0.1:8080/a");
  assert.equal(normalizeControlUrl("127.0.0.1:8080"), "http://127.0.0.1:8080");
  assert.equal(normalizeControlUrl("c.example.com:8443"), "https://c.example.com:8443");
  for (const bad of ["", "javascript:alert(1)", "ftp://x", "https://a:b@c.example.com", "https://"])
    assert.equal(normalizeControlUrl(bad), null, bad);
});

test("who one is and where one goes by a link waits for a click", () => {
  const site = { controlUrl: "https://c.example.com", authKey: "ours" };
  for (const link of [{ authKey: "k" }, { host: "web-1" }, { user: "root" }, { hostname: "web-1" }]) {
    const known = combine(site, link, HERE);
    assert.deepEqual([known.start, known.confirm], [false, "link"], JSON.stringify(link));
    assert.equal(known.linkKey, "authKey" in link);
  }
  // Its own server, or the one that serves the page, makes no difference: one server may hold many tailnets.
  assert.equal(combine({}, { controlUrl: HERE, authKey: "k" }, HERE).confirm, "link");
  assert.equal(combine(site, {}, HERE).start, true);
  assert.equal(combine(site, { controlUrl: "https://c.example.com" }, HERE).start, true);
});

test("a link to this site's own control server starts at once where the site says so", () => {
  const site = { controlUrl: "https://c.example.com", joinByLink: true } as const;
  const known = combine(site, { authKey: "k", host: "web-1" }, HERE);
  assert.equal(known.start, true);
  assert.equal(known.confirm, null);
  assert.deepEqual(known.settings, { controlUrl: "https://c.example.com", authKey: "k", host: "web-1" });
});

test("the server that this page comes from is this site's own", () => {
  assert.equal(combine({ joinByLink: true }, { controlUrl: HERE, authKey: "k" }, HERE).start, true);
  assert.equal(combine({ controlUrl: "/" }, { authKey: "k" }, HERE).settings.controlUrl, HERE);
});

test("a link to another control server waits for a click", () => {
  const site = {
    controlUrl: "https://c.example.com",
    authKey: "ours",
    controlKey: "mkey:1",
    relays: { "*": "wss://g" },
  };
  const link = { controlUrl: "https://evil.example.net", authKey: "k" };
  const known = combine({ ...site, joinByLink: true }, link, HERE);
  assert.equal(known.start, false);
  assert.equal(known.confirm, "server");
  assert.deepEqual(known.settings, { controlUrl: "https://evil.example.net", authKey: "k" });
});

test("this site's key is never taken to another control server", () => {
  const known = combine(
    { controlUrl: "https://c.example.com", authKey: "ours" },
    { controlUrl: "https://evil.example.net" },
    HERE,
  );
  assert.equal(known.settings.authKey, undefined);
  assert.equal(known.start, false);
});

test("a link with another key than the pinned one waits for a click", () => {
  const site = {
    controlUrl: "https://c.example.com",
    controlKey: "mkey:1",
    authKey: "ours",
    relays: { "*": "wss://g" },
    joinByLink: true,
  } as const;
  for (const link of [
    { controlKey: "mkey:2", authKey: "k" },
    { controlUrl: "https://c.example.com/", controlKey: "mkey:2", authKey: "k" },
  ]) {
    const known = combine(site, link, HERE);
    assert.deepEqual(known, {
      settings: { controlUrl: "https://c.example.com", controlKey: "mkey:2", authKey: "k" },
      start: false,
      confirm: "key",
      linkKey: true,
    });
  }
  assert.equal(combine(site, { controlKey: "mkey:1", authKey: "k" }, HERE).start, true);
  const unpinned = { controlUrl: "https://c.example.com", joinByLink: true } as const;
  assert.equal(combine(unpinned, { controlKey: "mkey:2", authKey: "k" }, HERE).start, true);
});

test("what a site says of its control server is not said of the server that it comes from", () => {
  const known = combine(
    { controlUrl: "https://c.example.com", controlKey: "mkey:1", authKey: "ours", relays: { "*": "wss://g" } },
    { controlUrl: HERE, authKey: "k" },
    HERE,
  );
  const settings = { controlUrl: HERE, authKey: "k" };
  assert.deepEqual(known, { settings, start: false, confirm: "link", linkKey: true });
});

test("a server that is typed gets this site's key and gateways if it is this site's, and keeps its own", () => {
  const site = { controlUrl: "https://c.example.com", controlKey: "mkey:1", authKey: "ours", relays: { "*": "/derp" } };
  const typed = { controlUrl: "https://c.example.com", authKey: "k" };
  assert.deepEqual(withSite(typed, site, HERE), {
    ...typed,
    controlKey: "mkey:1",
    relays: { "*": "wss://here.example.com/derp" },
  });
  assert.equal(withSite({ ...typed, controlKey: "mkey:2" }, site, HERE).controlKey, "mkey:2");
  assert.deepEqual(withSite({ controlUrl: "https://other.example.com" }, site, HERE), {
    controlUrl: "https://other.example.com",
  });
  assert.equal(withSite({ controlUrl: HERE }, { controlKey: "mkey:1" }, HERE).controlKey, "mkey:1");
});

test("without a key nothing starts by itself", () => {
  assert.equal(combine({ controlUrl: "https://c.example.com" }, { host: "web-1" }, HERE).start, false);
  assert.equal(combine({}, {}, HERE).start, false);
});
