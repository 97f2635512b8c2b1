/** One shell, from the click on a machine to its end. */

import { h } from "../../ui/dom.ts";
import { icon } from "../../ui/icons.ts";
import { StepList } from "../../ui/steps.ts";
import { plain } from "../../ui/text.ts";
import type { Prompts, Shell } from "../api.ts";
import type { TerminalView } from "../term/view.ts";
import { askHostKey, askInteractive, askPassword, askPrivateKey } from "../views/questions.ts";
import { SHELL_STEPS } from "../views/steps.ts";

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
}

/** A shell that nobody has asked for yet: its tab and its pane, which are in no document. */
export function makeSession(
  id: number,
  host: string,
  user: string,
  on: { select(session: Session): void; close(session: Session): void },
): Session {
  const overlay = h("div", { class: "overlay" });
  const pane = h(
    "div",
    { class: "pane", role: "tabpanel", id: `pane-${id}`, data: { state: "connecting" } },
    h("div", { class: "screen" }),
    overlay,
  );
  const select = h(
    "button",
    {
      type: "button",
      role: "tab",
      class: "tab-name",
      aria: { controls: pane.id, selected: "false" },
      on: { click: () => on.select(session) },
    },
    h("span", { class: "dot" }),
    h("span", { class: "tab-text" }, plain(host, 40)),
  );
  const close = h(
    "button",
    { type: "button", class: "tab-close", aria: { label: `Close ${host}` }, on: { click: () => on.close(session) } },
    icon("close"),
  );
  const session: Session = {
    id,
    host,
    user,
    began: new Date(),
    steps: new StepList(SHELL_STEPS, `Opening a shell on ${host}`),
    overlay,
    pane,
    tab: h("div", { class: "tab", data: { state: "connecting" } }, select, close),
    view: null,
    shell: null,
    state: "connecting",
    over: new AbortController(),
    presented: false,
    closing: false,
    banner: "",
  };
  return session;
}

/** What is asked while it connects. A question of a connection that was given up is not asked any more. */
export function promptsOf(session: Session, banner: (text: string) => void): Prompts {
  const { signal } = session.over;
  const wanted = () => session.state === "connecting";
  return {
    banner: (text) => wanted() && banner(text),
    hostKey: async (key) => wanted() && (await askHostKey(key, session, signal)),
    password: async (prompt) => (wanted() ? askPassword(prompt, session, signal) : null),
    keyboardInteractive: async (name, instructions, prompts) =>
      wanted() ? askInteractive(name, instructions, prompts, session, signal) : null,
    privateKey: async () => (wanted() ? askPrivateKey(session, signal) : null),
  };
}
