/** The steps of a way, lighting up one after the other with the time that each took. */

import { duration, h, icon } from "../dom.ts";

export interface StepText {
  id: string;
  /** While it runs, and after. */
  label: string;
}

/** Joining a tailnet. */
export const JOIN_STEPS: readonly StepText[] = [
  { id: "engine", label: "Start the engine" },
  { id: "control", label: "Reach the control server" },
  { id: "login", label: "Be let in" },
  { id: "netmap", label: "Learn the network" },
  { id: "relay", label: "Reach a relay" },
];

/** Opening a shell. */
export const SHELL_STEPS: readonly StepText[] = [
  { id: "wireguard", label: "WireGuard handshake" },
  { id: "tcp", label: "Connection to port 22" },
  { id: "ssh", label: "SSH key exchange" },
  { id: "host-key", label: "Host key" },
  { id: "auth", label: "Authentication" },
  { id: "shell", label: "Shell" },
];

/** A list of steps on screen. */
export class StepList {
  readonly element: HTMLOListElement;
  private readonly steps: readonly StepText[];
  private readonly rows = new Map<string, { row: HTMLElement; time: HTMLElement; began?: number }>();
  private current = -1;

  constructor(steps: readonly StepText[], label: string) {
    this.steps = steps;
    this.element = h("ol", { class: "steps", aria: { label } });
    for (const { id, label } of steps) {
      const time = h("span", { class: "step-time" });
      const row = h(
        "li",
        { data: { step: id, progress: "waiting" } },
        h("span", { class: "step-dot" }, icon("check")),
        h("span", {}, label),
        time,
      );
      this.rows.set(id, { row, time });
      this.element.append(row);
    }
  }

  /** A step begins, which ends the ones before it. Steps that are not in the list change nothing. */
  begin(id: string): void {
    const index = this.steps.findIndex((step) => step.id === id);
    if (index <= this.current) return;
    this.finishUpTo(index);
    this.current = index;
    const entry = this.rows.get(id);
    if (!entry) return;
    entry.began = performance.now();
    entry.row.dataset.progress = "running";
    entry.row.setAttribute("aria-current", "step");
  }

  /** Everything is done. */
  finish(): void {
    this.finishUpTo(this.steps.length);
    this.current = this.steps.length;
  }

  private finishUpTo(index: number): void {
    const now = performance.now();
    for (const { id } of this.steps.slice(0, index)) {
      const entry = this.rows.get(id);
      if (!entry || entry.row.dataset.progress === "done") continue;
      entry.row.dataset.progress = "done";
      entry.row.removeAttribute("aria-current");
      if (entry.began !== undefined) entry.time.textContent = duration(now - entry.began);
    }
  }
}
