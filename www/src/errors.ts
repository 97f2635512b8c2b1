/** What the page shows as an error: the module's, and its own. */

import type { DayflyError, Step } from "./api.ts";

/**
 * A step that an error of the page can name: `config` is what this site says in `config.json`, the others are the
 * module's.
 */
export type PageStep = Step | "config";

/** An error as the page shows it. */
export type PageError = Omit<DayflyError, "step"> & { step: PageStep };

/** Whatever was thrown, as an error that can be shown. */
export function asPageError(thrown: unknown, step: PageStep): PageError {
  const it = thrown as Partial<PageError> | null | undefined;
  if (it && typeof it === "object" && typeof it.what === "string") {
    return { step: it.step ?? step, what: it.what, seen: it.seen ?? "", todo: it.todo ?? "" };
  }
  const seen = thrown instanceof Error ? thrown.message : String(thrown);
  return { step, what: "Something failed that should not.", seen, todo: "Try again." };
}
