import assert from "node:assert/strict";
import { test } from "node:test";
import { combine, normalizeControlUrl, parseConfig, parseFragment } from "../../src/config.ts";

const HERE = "https://here.example.com";

test("a fragment's parameters are read, and others ignored", () => {
  const settings = parseFragment("#control=https%3A%2F%2Fc.example.com&authkey=k%2B1&host=web-1&user=root&evil=1");
  assert.deepEqual(settings, { controlUrl: "https://c.example.com", authKey: "k+1", host: "web-1", user: "root" });
});

test("endless values are nobody's settings", () => {
  assert.deepEqual(parseFragment(`#host=${"a".repeat(5000)}`), {});
});

test("a configuration of another shape is no configuration", () => {
  for (const json of [null, 3, "x", [], { controlUrl: 3, relays: { "1": 2 } }]) assert.deepEqual(parseConfig(json), {});
});

test("a configuration's known keys are taken", () => {
  const json = { controlUrl: "/", hostname: "h", relays: { "*": "wss://g.example.com", "1": 2 }, other: true };
  assert.deepEqual(parseConfig(json), { controlUrl: "/", hostname: "h", relays: { "*": "wss://g.example.com" } });
});

test("relays may be paths of the server that the page comes from", () => {
  const relays = { "*": "/gateway/derp/", "7": "wss://g.example.com/derp" };
  const known = combine({ controlUrl: "/", relays }, {}, HERE);
  assert.deepEqual(known.settings.relays, { "*": "wss://here.example.com/gateway/derp/", "7": "wss://g.example.com/derp" });
  assert.equal(combine({ controlUrl: "/", relays }, { controlUrl: "https://other.example.com" }, HERE).settings.relays, undefined);
});

test("control URLs are http or https and nothing else", () => {
  assert.equal(normalizeControlUrl("c.example.com"), "https://c.example.com");
  assert.equal(normalizeControlUrl(" https://c.example.com/ "), "https://c.example.com");
  assert.equal(normalizeControlUrl("http://127.0.0.1:8080/a/"), "http://127.0.0.1:8080/a");
  assert.equal(normalizeControlUrl("127.0.0.1:8080"), "http://127.0.0.1:8080");
  assert.equal(normalizeControlUrl("c.example.com:8443"), "https://c.example.com:8443");
  for (const bad of ["", "javascript:alert(1)", "ftp://x", "https://a:b@c.example.com", "https://"]) assert.equal(normalizeControlUrl(bad), null, bad);
});

test("a link to this site's own control server may start at once", () => {
  const known = combine({ controlUrl: "https://c.example.com" }, { authKey: "k", host: "web-1" }, HERE);
  assert.equal(known.start, true);
  assert.equal(known.foreign, false);
  assert.deepEqual(known.settings, { controlUrl: "https://c.example.com", authKey: "k", host: "web-1" });
});

test("the server that this page comes from is this site's own", () => {
  assert.equal(combine({}, { controlUrl: HERE, authKey: "k" }, HERE).start, true);
  assert.equal(combine({ controlUrl: "/" }, { authKey: "k" }, HERE).settings.controlUrl, HERE);
});

test("a link to another control server waits for a click", () => {
  const known = combine({ controlUrl: "https://c.example.com", authKey: "ours", controlKey: "mkey:1", relays: { "*": "wss://g" } }, { controlUrl: "https://evil.example.net", authKey: "k" }, HERE);
  assert.equal(known.start, false);
  assert.equal(known.foreign, true);
  assert.deepEqual(known.settings, { controlUrl: "https://evil.example.net", authKey: "k" });
});

test("this site's key is never taken to another control server", () => {
  const known = combine({ controlUrl: "https://c.example.com", authKey: "ours" }, { controlUrl: "https://evil.example.net" }, HERE);
  assert.equal(known.settings.authKey, undefined);
  assert.equal(known.start, false);
});

test("without a key nothing starts by itself", () => {
  assert.equal(combine({ controlUrl: "https://c.example.com" }, { host: "web-1" }, HERE).start, false);
  assert.equal(combine({}, {}, HERE).start, false);
});
