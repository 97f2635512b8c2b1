/** How it ended: well, or with an error that says what failed, what was seen, and what to do. */

import { type Action, actions, facts } from "../../ui/card.ts";
import { h } from "../../ui/dom.ts";
import { linked } from "../../ui/links.ts";
import { clock, plain, plainLines } from "../../ui/text.ts";
import type { CloseReport } from "../api.ts";
import type { PageError } from "../errors.ts";
import { card } from "./card.ts";
import { STEP_NAMES } from "./steps.ts";
/** An error: the step that failed, what was seen there, and what to do. */
export function errorView(
  error: PageError,
  about: [string, string | undefined][],
  ...buttons: (Action | false)[]
): HTMLElement {
  const view = card(
    { title: error.what || "That did not work", tone: "bad" },
    facts(["Step", STEP_NAMES[error.step]], ...about, [
      "Seen",
      error.seen ? h("code", { class: "seen" }, plainLines(error.seen, 1200)) : undefined,
    ]),
    error.todo ? h("p", { class: "todo" }, ...linked(plainLines(error.todo, 1200))) : null,
    actions(...buttons),
  );
  view.dataset.step = error.step;
  return view;
}

export interface Ending {
  title: string;
  lead?: string;
  about: [string, string | undefined][];
  /** What became of the node; changes while the page is shown. */
  node: HTMLElement;
}

export function endedView(ending: Ending, ...buttons: (Action | false)[]): HTMLElement {
  return card(
    { title: ending.title, tone: "done", ...(ending.lead ? { lead: ending.lead } : {}) },
    facts(...ending.about),
    ending.node,
    actions(...buttons),
  );
}

/** One line about the node, in one of three states. */
export function nodeLine(state: "present" | "leaving" | "gone" | "unsure", text: string): HTMLElement {
  return h(
    "p",
    { class: "node-line", role: "status", data: { node: state } },
    h("span", { class: "dot", aria: { hidden: "true" } }),
    text,
  );
}

/** What became of a node that was to leave; `name` is what it was called so far. */
export function reportLine(report: CloseReport, name: string): HTMLElement {
  if (report.removed)
    return nodeLine(
      "gone",
      `${report.node ? `The node ${plain(report.node, 63)}` : name} was removed from the tailnet at ${clock()}.`,
    );
  const seen = report.seen ? ` (${plain(report.seen)})` : "";
  return nodeLine(
    "unsure",
    `The control server did not confirm that ${name} is gone${seen}. It removes the node itself within minutes.`,
  );
}
