/**
 * What a person is asked about a shell: each a dialog whose promise ends with the answer, `null` for "no" by any way.
 */

import { ask } from "../../ui/dialogs.ts";
import { h } from "../../ui/dom.ts";
import { linked } from "../../ui/links.ts";
import { plain, plainLines } from "../../ui/text.ts";
import type { HostKey, InteractivePrompt, PrivateKey } from "../api.ts";

/** A login at a machine: whoever is asked something sees for which one. */
export interface Login {
  user: string;
  host: string;
}

/** Longest question of a server that is shown; the engine cuts there too. */
const LONGEST_QUESTION = 2048;

/** The line that says for which login something is asked. */
function asker({ user, host }: Login): HTMLElement {
  return h("p", { class: "hint asker" }, "To log in as ", h("b", {}, `${plain(user, 63)}@${plain(host, 80)}`));
}

/** A host key that nobody has vouched for. */
export async function askHostKey(key: HostKey, login: Login, signal: AbortSignal): Promise<boolean> {
  const answer = await ask({
    id: "host-key",
    title: `Is this ${plain(key.host, 80)}?`,
    body: [
      asker(login),
      h("p", {}, "Nobody vouches for this machine's host key. Compare it with what the machine itself says:"),
      h("pre", { class: "key" }, `${plain(key.algorithm, 40)}\n${plain(key.fingerprint, 120)}`),
      h("p", { class: "hint" }, "There: ", h("code", {}, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")),
    ],
    yes: "It is the same",
    no: "Refuse",
    answer: () => true,
    signal,
  });
  return answer === true;
}

/** A password. */
export function askPassword(prompt: string, login: Login, signal: AbortSignal): Promise<string | null> {
  const field = h("input", { type: "password", id: "answer-0", autocomplete: "current-password", required: true });
  return ask({
    id: "password",
    title: "Password",
    body: [asker(login), h("div", { class: "field" }, h("label", { htmlFor: field.id }, plain(prompt, 200)), field)],
    yes: "Log in",
    answer: () => field.value,
    signal,
  });
}

/** What a server asks in its own words: codes, tokens, passwords. */
export function askInteractive(
  name: string,
  instructions: string,
  prompts: InteractivePrompt[],
  login: Login,
  signal: AbortSignal,
): Promise<string[] | null> {
  // A round without questions only says something, or nothing at all.
  if (prompts.length === 0 && !instructions.trim() && !name.trim()) return Promise.resolve([]);
  const fields = prompts.slice(0, 16).map((prompt, index) => {
    const input = h("input", {
      type: prompt.echo ? "text" : "password",
      id: `answer-${index}`,
      autocomplete: "off",
      spellcheck: false,
    });
    // In the server's words: several lines, where it is a menu, and addresses that can be opened.
    const words = linked(plainLines(prompt.prompt, LONGEST_QUESTION));
    return {
      input,
      element: h("div", { class: "field" }, h("label", { htmlFor: input.id, class: "server-text" }, ...words), input),
    };
  });
  return ask({
    id: "keyboard-interactive",
    title: plain(name, 100) || "The server asks",
    body: [
      asker(login),
      instructions.trim() ? h("p", { class: "server-text" }, ...linked(plainLines(instructions, 2000))) : null,
      ...fields.map(({ element }) => element),
    ],
    yes: "Answer",
    answer: () => fields.map(({ input }) => input.value),
    signal,
  });
}

/** A private key from a file or from the clipboard; it stays in memory. */
export function askPrivateKey(login: Login, signal: AbortSignal): Promise<PrivateKey | null> {
  const text = h("textarea", {
    id: "answer-key",
    rows: 6,
    spellcheck: false,
    autocomplete: "off",
    placeholder: "-----BEGIN OPENSSH PRIVATE KEY-----",
    required: true,
  });
  const file = h("input", {
    type: "file",
    id: "answer-file",
    on: {
      change: () => {
        const chosen = file.files?.[0];
        // No private key is larger than this.
        if (chosen && chosen.size <= 64 * 1024) void chosen.text().then((content) => (text.value = content));
      },
    },
  });
  const passphrase = h("input", { type: "password", id: "answer-passphrase", autocomplete: "off" });
  return ask({
    id: "private-key",
    title: "Log in with a private key",
    body: [
      asker(login),
      h("p", {}, "The key stays in this page's memory, and only signs. It is gone when the page closes."),
      h("div", { class: "field" }, h("label", { htmlFor: file.id }, "From a file"), file),
      h("div", { class: "field" }, h("label", { htmlFor: text.id }, "Or its text"), text),
      h("div", { class: "field" }, h("label", { htmlFor: passphrase.id }, "Passphrase, if it has one"), passphrase),
    ],
    yes: "Use this key",
    no: "Without a key",
    answer: () => ({ pem: text.value, ...(passphrase.value ? { passphrase: passphrase.value } : {}) }),
    signal,
  });
}

/** Several lines are about to be run one by one. */
export async function askPaste(preview: string, lines: number, signal: AbortSignal): Promise<boolean> {
  const answer = await ask({
    id: "paste",
    title: `Paste ${lines} lines?`,
    body: [h("p", {}, "The shell runs each line as soon as it arrives."), h("pre", { class: "preview" }, preview)],
    yes: "Paste",
    answer: () => true,
    signal,
  });
  return answer === true;
}

/** A link whose text is not its address. */
export async function askLink(url: string, text: string, signal: AbortSignal): Promise<boolean> {
  const answer = await ask({
    id: "link",
    title: "Open this address?",
    body: [
      h("p", {}, "The text in the terminal says ", h("q", {}, plain(text, 120)), ". The link leads to:"),
      h("pre", { class: "key" }, plain(url, 1000)),
    ],
    yes: "Open",
    answer: () => true,
    signal,
  });
  return answer === true;
}

/** Paste where the browser does not let a page read the clipboard. */
export function askPasteText(signal: AbortSignal): Promise<string | null> {
  const text = h("textarea", { id: "answer-paste", rows: 6, spellcheck: false, autocomplete: "off" });
  return ask({
    id: "paste-text",
    title: "Paste here",
    body: [
      h(
        "div",
        { class: "field" },
        h("label", { htmlFor: text.id }, "This browser gives the clipboard only to a field."),
        text,
      ),
    ],
    yes: "Send to the shell",
    answer: () => text.value,
    signal,
  });
}
