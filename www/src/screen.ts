/** What is on screen: one view, or the shells. */

import { focusHeading } from "../ui/dom.ts";

/** What `document.body.dataset.state` says. */
export type PageState =
  | "boot"
  | "join"
  | "joining"
  | "needs-login"
  | "needs-approval"
  | "machines"
  | "connecting"
  | "terminal"
  | "error"
  | "ended";

export class Screen {
  state: PageState = "boot";
  private readonly view: HTMLElement;
  private readonly shells: { show(visible: boolean): void };
  private readonly changed: (state: PageState) => void;

  constructor(view: HTMLElement, shells: { show(visible: boolean): void }, changed: (state: PageState) => void) {
    this.view = view;
    this.shells = shells;
    this.changed = changed;
  }

  /** A view is on screen, and not the shells. */
  get hasView(): boolean {
    return !this.view.hidden;
  }

  /** Put a view on screen, in the place of whatever was there. */
  show(state: PageState, element: HTMLElement): void {
    this.shells.show(false);
    this.view.hidden = false;
    this.view.replaceChildren(element);
    this.enter(state);
    focusHeading(element);
    window.scrollTo(0, 0);
  }

  /** Put the shells on screen; the one in front says by `enter` which state that is. */
  showShells(): void {
    this.view.hidden = true;
    this.view.replaceChildren();
    this.shells.show(true);
  }

  /** The page is in this state now. */
  enter(state: PageState): void {
    if (state !== "terminal") document.title = "Dayfly";
    if (this.state === state) return;
    this.state = state;
    document.body.dataset.state = state;
    performance.mark(`dayfly:state:${state}`);
    this.changed(state);
  }
}
