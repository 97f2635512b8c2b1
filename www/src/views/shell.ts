/** What is shown over a shell's terminal before it is open, and after. */

import { type Action, actions } from "../../ui/card.ts";
import { h } from "../../ui/dom.ts";
import { linked } from "../../ui/links.ts";
import { clock, duration, plain } from "../../ui/text.ts";
import type { Exit } from "../api.ts";
import type { PageError } from "../errors.ts";
import type { Session } from "../shells/session.ts";
import { card } from "./card.ts";
import { endedView, errorView } from "./ended.ts";

/** Show over its terminal how far the connecting is. */
export function drawConnecting(session: Session, cancel: () => void): void {
  if (session.state !== "connecting") return;
  session.overlay.replaceChildren(
    card(
      { title: `Connecting to ${plain(session.host, 63)}`, lead: `as ${plain(session.user, 63)}` },
      session.banner ? h("pre", { class: "banner" }, ...linked(session.banner)) : null,
      session.steps.element,
      actions({ label: "Cancel", id: "cancel", run: cancel }),
    ),
  );
}

/** Show over its terminal what failed. */
export function drawFailed(session: Session, error: PageError, again: () => void, back: () => void): void {
  // Where somebody may be in between, the careful way is the one that is offered first.
  const careful = error.step === "host-key";
  const buttons = [
    { label: "Try again", id: "retry", run: again, primary: !careful },
    { label: "Back", id: "back", run: back, primary: careful },
  ];
  session.overlay.replaceChildren(
    errorView(error, [["Machine", `${session.user}@${session.host}`]], ...(careful ? buttons.reverse() : buttons)),
  );
}

/** Show over its terminal how it ended; `node` says what became of the page's node. */
export function drawEnded(session: Session, title: string, node: HTMLElement, ...buttons: (Action | false)[]): void {
  const about: [string, string][] = [
    ["Machine", `${session.user}@${session.host}`],
    ["Time", `${clock(session.began)} to ${clock()}, ${duration(Date.now() - session.began.getTime())}`],
  ];
  session.overlay.replaceChildren(endedView({ title, about, node }, ...buttons));
}

/** Show what the terminal of an ended session has in it. */
export function showOutput(session: Session): void {
  session.overlay.hidden = true;
  session.view?.terminal.scrollToBottom();
}

/** How it ended, in one line. */
export function endingOf({ closing }: Session, { status, signal }: Exit): string {
  if (status !== undefined) return `Shell ended with status ${status}`;
  if (closing) return "Disconnected";
  return signal ? `Shell ended by signal ${plain(signal, 20)}` : "Shell ended";
}
