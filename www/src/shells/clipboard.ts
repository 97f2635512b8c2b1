/** Between a terminal and the clipboard. */

import { copyText, notice } from "../../ui/dialogs.ts";
import { askPasteText } from "../views/questions.ts";
import type { Session } from "./session.ts";

/** Put a text on the clipboard, and go back to the terminal in front. */
export async function toClipboard(text: string, current: () => Session | null): Promise<void> {
  await copyText(text, "This browser does not let the page write to the clipboard.");
  current()?.view?.focus();
}

/** Copy what is selected in the terminal in front. */
export async function copySelection(current: () => Session | null): Promise<void> {
  const selected = current()?.view?.terminal.getSelection();
  if (selected) await toClipboard(selected, current);
  else notice("Select something first.");
}

/** Paste into a shell, by way of a question where the browser keeps the clipboard from the page. */
export async function paste(session: Session | null): Promise<void> {
  const view = session?.view;
  if (!view || session.state !== "open") return;
  let text: string | null;
  try {
    text = await navigator.clipboard.readText();
  } catch {
    text = await askPasteText(session.over.signal);
  }
  if (text) await view.paste(text);
  view.focus();
}
