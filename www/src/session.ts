/** One shell, from the click on a machine to its end. */

import type { DayflyError, Exit, Prompts, Shell } from "./dayfly.ts";
import { clock, duration, h, linked, plain } from "./dom.ts";
import type { TerminalView } from "./term/view.ts";
import { actions, card, type Action } from "./views/card.ts";
import { askHostKey, askInteractive, askPassword, askPrivateKey } from "./views/dialogs.ts";
import { endedView, errorView } from "./views/ended.ts";
import type { StepList } from "./views/steps.ts";

export interface Session {
  readonly id: number;
  readonly host: string;
  readonly user: string;
  began: Date;
  readonly steps: StepList;
  /** What is shown over the terminal while it is not open yet. */
  readonly overlay: HTMLElement;
  readonly pane: HTMLElement;
  readonly tab: HTMLElement;
  view: TerminalView | null;
  /** The making of `view`. */
  prepared?: Promise<TerminalView | null>;
  shell: Shell | null;
  state: "connecting" | "open" | "ended" | "failed";
  /** Aborted when it is over, however that came: its connecting stops, and its questions close. */
  readonly over: AbortController;
  /** It has been in front once. */
  presented: boolean;
  /** The person has asked for its end. */
  closing: boolean;
  /** Text from the server before the shell. */
  banner: string;
  exit?: Exit;
  error?: DayflyError;
}

/** What is asked while it connects. A question of a connection that was given up is not asked any more. */
export function promptsOf(session: Session, banner: (text: string) => void): Prompts {
  const { signal } = session.over;
  const wanted = () => session.state === "connecting";
  return {
    banner: (text) => wanted() && banner(text),
    hostKey: async (key) => wanted() && (await askHostKey(key, signal)),
    password: async (prompt) => (wanted() ? askPassword(prompt, signal) : null),
    keyboardInteractive: async (name, instructions, prompts) =>
      wanted() ? askInteractive(name, instructions, prompts, signal) : null,
    privateKey: async () => (wanted() ? askPrivateKey(signal) : null),
  };
}

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
export function drawFailed(session: Session, error: DayflyError, again: () => void, back: () => void): void {
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
