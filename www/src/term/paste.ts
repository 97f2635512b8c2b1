/** What pasting does to a text before a shell gets it. */

/**
 * The longest text that is pasted, in UTF-16 units: what is more is a file, and not typed into a shell. Nothing is
 * pasted in part.
 */
export const LONGEST_PASTE = 2 * 1024 * 1024;

/**
 * The text as it may be sent: line ends as Enter sends them, and no control characters but tab and Enter.
 *
 * That removes `ESC`, and so every end-of-paste mark (`ESC [ 201 ~`) with which a copied text could leave the brackets
 * and go on as if typed, and what a page hides in a copied line to act at once (`^C`, `^D`, `^R`).
 */
export function cleanPaste(text: string): string {
  return text.replace(/\r\n?|\n/g, "\r").replace(/[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f-\x9f]/g, "");
}

/** Whether it would run something by itself: more than one line, or one with Enter at its end, without brackets. */
export function needsConsent(clean: string, bracketed: boolean): boolean {
  return !bracketed && clean.includes("\r");
}

/** What is sent for a cleaned text. */
export function pasteBytes(clean: string, bracketed: boolean): string {
  return bracketed ? `\x1b[200~${clean}\x1b[201~` : clean;
}

/** What a question about a paste shows of it: the first lines. */
export function preview(clean: string, lines = 8): string {
  const all = clean.split("\r");
  const shown = all.slice(0, lines).map((line) => (line.length > 160 ? `${line.slice(0, 159)}…` : line));
  if (all.length > lines) shown.push(`… ${all.length - lines} more lines`);
  return shown.join("\n");
}
