/** Questions to the person: each a modal dialog whose promise ends with the answer, `null` for "no" by any way. */

import type { HostKey, InteractivePrompt, PrivateKey } from "../dayfly.ts";
import { h, icon, linked, plain, plainLines } from "../dom.ts";

interface Question<T> {
  id: string;
  title: string;
  body: (Node | string | null)[];
  yes: string;
  no?: string;
  /** What the answer is, when "yes" was chosen. */
  answer: () => T | Promise<T>;
  /** Of what asks: once that is over nobody hears an answer, and the dialog closes. */
  signal: AbortSignal;
  tone?: "bad";
}

function ask<T>(question: Question<T>): Promise<T | null> {
  return new Promise((resolve) => {
    const { signal } = question;
    if (signal.aborted) return resolve(null);
    let accepted = false;
    const no = h(
      "button",
      { type: "button", class: "button", data: { answer: "no" }, on: { click: () => dialog.close() } },
      question.no ?? "Cancel",
    );
    const yes = h(
      "button",
      { type: "submit", class: question.tone === "bad" ? "button danger" : "button primary", data: { answer: "yes" } },
      question.yes,
    );
    const form = h(
      "form",
      {
        class: "form",
        on: {
          submit: (event) => {
            event.preventDefault();
            accepted = true;
            dialog.close();
          },
        },
      },
      h("h2", {}, question.title),
      ...question.body,
      h("div", { class: "actions" }, no, yes),
    );
    const dialog = h(
      "dialog",
      {
        class: "dialog",
        data: { question: question.id, tone: question.tone ?? "plain" },
        on: {
          close: () => {
            void Promise.resolve(accepted ? question.answer() : null)
              .catch(() => null)
              .then((answer) => {
                for (const field of dialog.querySelectorAll("input, textarea")) (field as HTMLInputElement).value = "";
                dialog.remove();
                resolve(answer);
              });
          },
        },
      },
      form,
    );
    document.body.append(dialog);
    dialog.showModal();
    signal.addEventListener("abort", () => dialog.close(), { once: true });
    // Enter does nothing that can't be undone: where there is no field to fill, the careful answer has the focus.
    (dialog.querySelector<HTMLElement>("input:not([type=file]), textarea") ?? no).focus();
  });
}

/** A host key that nobody has vouched for. */
export async function askHostKey(key: HostKey, signal: AbortSignal): Promise<boolean> {
  const answer = await ask({
    id: "host-key",
    title: `Is this ${plain(key.host, 80)}?`,
    body: [
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
export function askPassword(prompt: string, signal: AbortSignal): Promise<string | null> {
  const field = h("input", { type: "password", id: "answer-0", autocomplete: "current-password", required: true });
  return ask({
    id: "password",
    title: "Password",
    body: [h("div", { class: "field" }, h("label", { htmlFor: field.id }, plain(prompt, 200)), field)],
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
    return {
      input,
      element: h("div", { class: "field" }, h("label", { htmlFor: input.id }, plain(prompt.prompt, 200)), input),
    };
  });
  return ask({
    id: "keyboard-interactive",
    title: plain(name, 100) || "The server asks",
    body: [
      instructions.trim() ? h("p", { class: "server-text" }, ...linked(plainLines(instructions, 2000))) : null,
      ...fields.map(({ element }) => element),
    ],
    yes: "Answer",
    answer: () => fields.map(({ input }) => input.value),
    signal,
  });
}

/** A private key from a file or from the clipboard; it stays in memory. */
export function askPrivateKey(signal: AbortSignal): Promise<PrivateKey | null> {
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

/** Put a text on the clipboard, and say so, or `otherwise`. */
export async function copyText(text: string, otherwise: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied.");
  } catch {
    notice(otherwise);
  }
}

let noticeTimer = 0;

/** A short line at the bottom, with at most one thing to do. It goes by itself, later where there is something to do. */
export function notice(text: string, action?: { label: string; run: () => void }): void {
  const place = document.getElementById("notices");
  if (!place) return;
  clearTimeout(noticeTimer);
  const hide = () => place.replaceChildren();
  const close = h(
    "button",
    { type: "button", class: "icon-button", aria: { label: "Dismiss" }, on: { click: hide } },
    icon("close"),
  );
  const act = action
    ? h(
        "button",
        {
          type: "button",
          class: "button primary",
          data: { action: "notice" },
          on: {
            click: () => {
              hide();
              action.run();
            },
          },
        },
        action.label,
      )
    : null;
  place.replaceChildren(h("div", { class: "notice", role: "status" }, h("span", {}, text), act, close));
  noticeTimer = window.setTimeout(hide, action ? 20_000 : 4_000);
}
