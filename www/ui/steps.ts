/** The steps of a way, lighting up one after the other with the time that each took. */

import { h } from "./dom.ts";
import { icon } from "./icons.ts";
import { duration } from "./text.ts";

/** A step by its name, and what it is called on screen. */
export interface StepText {
  id: string;
  label: string;
}

/** A list of steps on screen. */
export class StepList {
  readonly element: HTMLOListElement;
  private readonly steps: readonly StepText[];
  private readonly rows = new Map<string, { row: HTMLElement; time: HTMLElement; began?: number }>();
  private current = -1;
  private ticking = 0;

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
    this.tick(entry.time, entry.began);
  }

  /** Show how long the running step has taken, once it takes seconds: a login may wait for a person or a directory. */
  private tick(time: HTMLElement, began: number): void {
    clearInterval(this.ticking);
    this.ticking = window.setInterval(() => {
      const took = performance.now() - began;
      // A list that was taken off the screen, since what it shows has ended, counts no more.
      if (took > 2000 && !this.element.isConnected) clearInterval(this.ticking);
      else if (took > 2000) time.textContent = took < 10_000 ? `${Math.floor(took / 1000)} s` : duration(took);
    }, 1000);
  }

  /** Everything is done. */
  finish(): void {
    this.finishUpTo(this.steps.length);
    this.current = this.steps.length;
  }

  private finishUpTo(index: number): void {
    clearInterval(this.ticking);
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
