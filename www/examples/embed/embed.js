// @ts-check
// A shell in a plain page: the module's API without the client's page, and without a terminal emulator.

import init, { connect } from "./dayfly.js";

/** @import { DayflyError, Prompts, ShellEvent, Tailnet, TailnetEvent, TerminalPort } from "../../src/api.ts" */

const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
const status = /** @type {HTMLElement} */ (document.querySelector("#status"));
const output = /** @type {HTMLElement} */ (document.querySelector("#output"));
const line = /** @type {HTMLInputElement} */ (document.querySelector("#line"));

// The module compiles while the form is filled in.
const ready = init({ module_or_path: new URL("./dayfly.wasm", import.meta.url) });

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { control, key, host, user } = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
  try {
    await ready;
    const tailnet = await join(control ?? "", key ?? "");
    const shell = await tailnet.ssh({ host: host ?? "", user: user ?? "", cols: 80, rows: 24, prompts, onEvent });
    shell.attach(port);
    status.textContent = "open";
    line.disabled = false;
    line.onchange = () => {
      shell.write(`${line.value}\r`);
      line.value = "";
    };
    const exit = await shell.exit;
    await tailnet.close();
    status.textContent = exit.error?.what ?? `ended with status ${exit.status}`;
  } catch (error) {
    const { what, seen } = /** @type {DayflyError} */ (error);
    status.textContent = seen ? `${what} (${seen})` : what;
  }
  line.disabled = true;
});

/**
 * Joins, and resolves once the node is in the tailnet.
 *
 * @param {string} controlUrl
 * @param {string} authKey
 * @returns {Promise<Tailnet>}
 */
function join(controlUrl, authKey) {
  return new Promise((resolve, reject) => {
    /** @param {TailnetEvent} event */
    const heard = (event) => {
      if (event.type === "error") reject(event);
      if (event.type !== "state") return;
      status.textContent = event.step ?? event.state;
      if (event.state === "running") resolve(tailnet);
    };
    const tailnet = connect({ controlUrl, authKey }, (event) => queueMicrotask(() => heard(event)));
    addEventListener("pagehide", () => tailnet.closeNow());
  });
}

/** @param {ShellEvent} event */
function onEvent(event) {
  status.textContent = event.type === "step" ? event.step : event.what;
}

/**
 * Answers to what an SSH server may ask. Tailscale SSH asks nothing, and a host key that nobody vouches for is refused.
 *
 * @type {Prompts}
 */
const prompts = {
  banner: (text) => output.append(text),
  hostKey: async () => false,
  password: async () => null,
  keyboardInteractive: async () => null,
  privateKey: async () => null,
};

const decoder = new TextDecoder();
const nothing = { dispose() {} };

/**
 * A "terminal" that shows text and no more. xterm.js' `Terminal` is a port as it is.
 *
 * @type {TerminalPort}
 */
const port = {
  cols: 80,
  rows: 24,
  write(data, done) {
    output.append(decoder.decode(data, { stream: true }));
    done();
  },
  onData: () => nothing,
  onBinary: () => nothing,
  onResize: () => nothing,
};
