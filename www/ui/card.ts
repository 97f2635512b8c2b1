/** The quiet card in the middle of a page, what is known on it, and what can be done. */

import { h } from "./dom.ts";
import { mark } from "./icons.ts";

/** What a card says by itself. */
export interface CardText {
  title: string;
  /** Below the title; one sentence. */
  lead?: string | Node;
  tone?: "plain" | "bad" | "done";
  /** In small letters below the card. */
  foot?: string;
}

type Part = Node | string | null | undefined | false;

/** A card with a heading, and `parts` below it. */
export function card(text: CardText, ...parts: Part[]): HTMLElement {
  const heading = h("h1", { tabIndex: -1 }, text.title);
  const body = h(
    "div",
    { class: "card", data: { tone: text.tone ?? "plain" } },
    brand(),
    heading,
    text.lead ? h("p", { class: "lead" }, text.lead) : null,
    ...parts,
  );
  return h("div", { class: "stage" }, body, text.foot ? h("p", { class: "foot" }, text.foot) : null);
}

/** Mark and name. */
export function brand(): HTMLElement {
  return h("div", { class: "brand" }, mark(), h("span", {}, "Dayfly"));
}

/** What is known, as pairs of a name and a value. */
export function facts(...pairs: [string, string | Node | undefined | null | false][]): HTMLElement {
  const list = h("dl", { class: "facts" });
  for (const [name, value] of pairs) if (value) list.append(h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return list;
}

/** A button. */
export interface Action {
  label: string;
  /** For tests and styles. */
  id: string;
  run: () => void;
  primary?: boolean;
}

/** Buttons in a row. */
export function actions(...list: (Action | false | null | undefined)[]): HTMLElement {
  const row = h("div", { class: "actions" });
  for (const action of list) {
    if (!action) continue;
    row.append(
      h(
        "button",
        {
          type: "button",
          class: action.primary ? "button primary" : "button",
          data: { action: action.id },
          on: { click: action.run },
        },
        action.label,
      ),
    );
  }
  return row;
}
