/** Questions to the person, each a modal dialog, and short notices. */

import { h } from "./dom.ts";
import { icon } from "./icons.ts";

export interface Question<T> {
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

/** Put a question. Resolves with the answer, or `null` for "no" in any way. */
export function ask<T>(question: Question<T>): Promise<T | null> {
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

/**
 * A short line at the bottom, with at most one thing to do. It goes by itself, later where there is something to do.
 */
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
