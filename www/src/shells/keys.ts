/** Keys that touch keyboards don't have. */

import { h } from "../../ui/dom.ts";
import type { TerminalView } from "../term/view.ts";
import type { Session } from "./session.ts";

export class TouchKeys {
  readonly element: HTMLElement;
  private readonly ctrl: HTMLButtonElement;
  private readonly current: () => Session | null;

  /** Types into `current`, the shell in front. */
  constructor(current: () => Session | null) {
    this.current = current;
    this.ctrl = h(
      "button",
      { type: "button", aria: { pressed: "false" }, data: { key: "ctrl" }, on: { click: () => this.toggleCtrl() } },
      "Ctrl",
    );
    const text = (label: string, name: string, sent: string) => this.key(label, name, (view) => view.type(sent));
    this.element = h(
      "div",
      { class: "keys", role: "toolbar", aria: { label: "Keys" } },
      text("Esc", "escape", "\x1b"),
      text("Tab", "tab", "\t"),
      this.ctrl,
      this.key("←", "left", (view) => view.arrow("D")),
      this.key("↓", "down", (view) => view.arrow("B")),
      this.key("↑", "up", (view) => view.arrow("A")),
      this.key("→", "right", (view) => view.arrow("C")),
      text("/", "slash", "/"),
      text("|", "pipe", "|"),
      text("~", "tilde", "~"),
      text("-", "minus", "-"),
    );
  }

  /** Show whether the next key is pressed together with Ctrl. */
  setCtrl(on: boolean): void {
    this.ctrl.setAttribute("aria-pressed", String(on));
  }

  private toggleCtrl(): void {
    const view = this.current()?.view;
    view?.pressCtrlNext(this.ctrl.getAttribute("aria-pressed") !== "true");
    view?.focus();
  }

  private key(label: string, name: string, press: (view: TerminalView) => void): HTMLElement {
    return h(
      "button",
      {
        type: "button",
        aria: { label: name },
        data: { key: name },
        on: {
          // Keeping the focus keeps the touch keyboard open.
          pointerdown: (event) => event.preventDefault(),
          click: () => {
            const session = this.current();
            if (session?.view && session.state === "open") press(session.view);
          },
        },
      },
      label,
    );
  }
}
