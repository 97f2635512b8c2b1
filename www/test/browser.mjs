// A real Chromium by plain WebDriver: just what the page's own tests need.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = await mkdtemp(join(tmpdir(), "dayfly-chromium-"));
    const port = await freePort();
    browser.driver = spawn("chromedriver", [`--port=${port}`], { stdio: "ignore" });
    browser.base = `http://127.0.0.1:${port}`;
    await browser.until("chromedriver", async () => (await (await fetch(`${browser.base}/status`)).json()).value.ready);
    const { sessionId } = await browser.call("POST", "/session", {
      capabilities: {
        alwaysMatch: {
          browserName: "chrome",
          "goog:loggingPrefs": { browser: "ALL" },
          "goog:chromeOptions": { args: [...FLAGS, `--user-data-dir=${browser.profile}`] },
        },
      },
    });
    browser.session = `/session/${sessionId}`;
    return browser;
  }

  async stop() {
    await this.call("DELETE", this.session).catch(() => {});
    this.driver.kill();
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }

  async call(method, path, body) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(this.base + path, {
      method,
      headers,
      ...(method === "POST" ? { body: JSON.stringify(body ?? {}) } : {}),
    });
    const { value } = await answer.json();
    if (value?.error) throw new Error(`${path}: ${value.error}: ${value.message}`);
    return value;
  }

  open(url) {
    return this.call("POST", `${this.session}/url`, { url });
  }

  /** Run a function's body in the page. */
  run(script, ...args) {
    return this.call("POST", `${this.session}/execute/sync`, { script, args });
  }

  cdp(cmd, params) {
    return this.call("POST", `${this.session}/goog/cdp/execute`, { cmd, params });
  }

  async click(selector) {
    const element = await this.find(selector);
    await this.call("POST", `${this.session}/element/${element}/click`);
  }

  async fill(selector, text) {
    const element = await this.find(selector);
    await this.call("POST", `${this.session}/element/${element}/clear`);
    await this.call("POST", `${this.session}/element/${element}/value`, { text });
  }

  /** Keys to whatever has the focus. */
  async keys(text) {
    const actions = [...text].flatMap((value) => [
      { type: "keyDown", value },
      { type: "keyUp", value },
    ]);
    await this.call("POST", `${this.session}/actions`, { actions: [{ type: "key", id: "k", actions }] });
  }

  /** Move to a point of the page, rest there, and click. */
  async pointer({ x, y }) {
    const move = (dx) => ({ type: "pointerMove", duration: 30, x: x + dx, y });
    const actions = [
      move(-8),
      move(0),
      { type: "pause", duration: 100 },
      move(1),
      { type: "pointerDown", button: 0 },
      { type: "pointerUp", button: 0 },
    ];
    await this.call("POST", `${this.session}/actions`, {
      actions: [{ type: "pointer", id: "p", parameters: { pointerType: "mouse" }, actions }],
    });
  }

  async find(selector) {
    const element = await this.until(selector, async () => {
      const found = await this.call("POST", `${this.session}/elements`, { using: "css selector", value: selector });
      for (const candidate of found) {
        const id = Object.values(candidate)[0];
        if (await this.call("GET", `${this.session}/element/${id}/displayed`)) return id;
      }
      return null;
    });
    return element;
  }

  state(wanted) {
    return this.until(`state ${wanted}`, () => this.run("return document.body.dataset.state === arguments[0]", wanted));
  }

  async until(what, probe, ms = 10_000) {
    const end = Date.now() + ms;
    let last;
    while (Date.now() < end) {
      try {
        const value = await probe();
        if (value) return value;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${what}: not within ${ms} ms${last ? ` (${last.message})` : ""}`);
  }

  /** What the page said on its console, policy violations included. */
  async complaints() {
    const entries = await this.call("POST", `${this.session}/se/log`, { type: "browser" });
    return entries
      .filter(({ level, message }) => level !== "INFO" && level !== "DEBUG" && !/config\.json/.test(message))
      .map(({ message }) => message);
  }

  async look(width, height, dark) {
    await this.cdp("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await this.cdp("Emulation.setTouchEmulationEnabled", { enabled: width < 600 });
    await this.cdp("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }],
    });
  }

  async picture(path) {
    const png = await this.call("GET", `${this.session}/screenshot`);
    await writeFile(path, Buffer.from(png, "base64"));
  }
}
