/** The bar that searches the output of the shell in front. */

import { h } from "../../ui/dom.ts";
import { icon } from "../../ui/icons.ts";
import type { TerminalView } from "../term/view.ts";

export class SearchBar {
  readonly element: HTMLElement;
  private readonly field: HTMLInputElement;
  private readonly count = h("span", { class: "search-count", role: "status" });
  private readonly view: () => TerminalView | null;

  /** Searches in `view`, the terminal in front. */
  constructor(view: () => TerminalView | null) {
    this.view = view;
    this.field = h("input", {
      type: "search",
      id: "terminal-search",
      placeholder: "Search the output",
      autocomplete: "off",
      spellcheck: false,
      aria: { label: "Search the output" },
      on: {
        input: () => (this.field.value ? this.find("previous", true) : this.view()?.endSearch()),
        keydown: (event) => {
          if (event.key === "Enter") this.find(event.shiftKey ? "next" : "previous");
          else if (event.key === "Escape") this.close();
          else return;
          event.preventDefault();
        },
      },
    });
    const button = (label: string, name: Parameters<typeof icon>[0], run: () => void) =>
      h(
        "button",
        { type: "button", class: "icon-button", aria: { label }, title: label, on: { click: run } },
        icon(name),
      );
    this.element = h(
      "div",
      { class: "search-bar", role: "search", hidden: true },
      icon("search"),
      this.field,
      this.count,
      button("Previous", "up", () => this.find("previous")),
      button("Next", "down", () => this.find("next")),
      button("Close the search", "close", () => this.close()),
    );
  }

  open(): void {
    this.element.hidden = false;
    this.field.focus();
    this.field.select();
  }

  /** Say which match is marked, and how many there are. */
  setResults(index: number, count: number): void {
    this.count.textContent = count === 0 ? (this.field.value ? "none" : "") : `${index + 1} of ${count}`;
  }

  private close(): void {
    this.element.hidden = true;
    this.view()?.endSearch();
    this.view()?.focus();
  }

  private find(direction: "next" | "previous", incremental = false): void {
    this.view()?.find(this.field.value, direction, incremental);
  }
}
