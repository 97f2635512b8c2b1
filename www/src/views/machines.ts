/** The machines that this node may see. */

import { brand } from "../../ui/card.ts";
import { announce, h } from "../../ui/dom.ts";
import { icon } from "../../ui/icons.ts";
import { plain } from "../../ui/text.ts";
import type { Machine } from "../api.ts";
export interface MachinesHooks {
  connect(machine: Machine, user: string): void;
  /** A pointer or the focus rests on it. */
  warm(machine: Machine): void;
  leave(): void;
  /** Back to the shells. */
  shells(): void;
}

/** More rows than this are not drawn at once; the filter finds the others. */
const MOST_ROWS = 300;

export class MachinesView {
  readonly element: HTMLElement;
  private machines: Machine[] = [];
  private readonly hooks: MachinesHooks;
  private readonly list = h("ul", { class: "machines", aria: { label: "Machines" } });
  private readonly count = h("span", { class: "count" });
  private readonly filter: HTMLInputElement;
  private readonly user: HTMLInputElement;
  private readonly status = h("span", { class: "chip", data: { tone: "good" } });
  private readonly toShells: HTMLElement;
  private readonly rows = new Map<string, HTMLElement>();

  constructor(user: string, hooks: MachinesHooks) {
    this.hooks = hooks;
    this.filter = h("input", {
      id: "filter",
      type: "search",
      placeholder: "Filter",
      autocomplete: "off",
      spellcheck: false,
      aria: { label: "Filter machines", keyshortcuts: "/" },
      on: { input: () => this.draw(), keydown: (event) => this.filterKey(event) },
    });
    this.user = h("input", {
      id: "login-user",
      type: "text",
      value: user,
      autocomplete: "username",
      spellcheck: false,
      autocapitalize: "off",
    });
    this.toShells = h(
      "button",
      {
        type: "button",
        class: "button quiet",
        hidden: true,
        aria: { label: "Back to the shells" },
        data: { action: "shells" },
        on: { click: () => hooks.shells() },
      },
      icon("terminal"),
      h("span", {}, "Shells"),
    );
    this.element = h(
      "div",
      { class: "list-page", on: { keydown: (event) => this.keydown(event) } },
      h(
        "header",
        { class: "top" },
        brand(),
        this.status,
        this.toShells,
        h(
          "button",
          { type: "button", class: "button quiet", data: { action: "leave" }, on: { click: () => hooks.leave() } },
          icon("power"),
          "Leave",
        ),
      ),
      h(
        "div",
        { class: "list-body" },
        h(
          "div",
          { class: "list-head" },
          h("h1", { tabIndex: -1 }, "Machines", this.count),
          h(
            "div",
            { class: "list-tools" },
            h("label", { class: "inline-field" }, h("span", {}, "Log in as"), this.user),
            h("div", { class: "search-box" }, icon("search"), this.filter),
          ),
        ),
        this.list,
      ),
    );
  }

  /** The user name in the field, `root` if it is empty. */
  get loginUser(): string {
    return this.user.value.trim() || "root";
  }

  setStatus(text: string, tone: "good" | "wait" | "bad"): void {
    this.status.textContent = text;
    this.status.dataset.tone = tone;
  }

  /** Whether there are shells to go back to. */
  setShells(any: boolean): void {
    this.toShells.hidden = !any;
  }

  update(machines: Machine[]): void {
    this.machines = [...machines].sort(byUse);
    this.draw();
  }

  private shown(): Machine[] {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.machines.filter((machine) => {
      const text = [machine.name, machine.os, machine.user, ...machine.tags, ...machine.addresses]
        .join(" ")
        .toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  private draw(): void {
    const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-machine]")?.dataset
      .machine;
    const shown = this.shown();
    this.count.textContent =
      shown.length === this.machines.length
        ? String(this.machines.length)
        : `${shown.length} of ${this.machines.length}`;
    this.rows.clear();
    this.list.replaceChildren(...shown.slice(0, MOST_ROWS).map((machine) => this.row(machine)));
    if (shown.length === 0) this.list.append(this.empty());
    if (shown.length > MOST_ROWS)
      this.list.append(h("li", { class: "empty" }, `${shown.length - MOST_ROWS} more: filter to find them.`));
    if (focused) this.rows.get(focused)?.querySelector("button")?.focus();
  }

  private empty(): HTMLElement {
    const text =
      this.machines.length > 0
        ? "No machine matches."
        : "No machine yet. Those that your access rules let this node see appear here by themselves.";
    return h("li", { class: "empty" }, text);
  }

  private row(machine: Machine): HTMLElement {
    const state = machine.expired
      ? "expired"
      : machine.online === false
        ? "offline"
        : machine.online
          ? "online"
          : "unknown";
    const owner =
      machine.tags.length > 0
        ? h("span", { class: "tags" }, ...machine.tags.map((tag) => h("span", { class: "tag" }, plain(tag, 40))))
        : h("span", { class: "owner" }, plain(machine.user, 60));
    const button = h(
      "button",
      {
        type: "button",
        class: machine.ssh ? "button ssh" : "button ssh plain-ssh",
        data: { action: "ssh" },
        disabled: state === "offline" || state === "expired",
        title: machine.ssh
          ? "Tailscale SSH: no key and no password needed"
          : "An SSH server on port 22, if it runs one",
        on: {
          click: () => this.hooks.connect(machine, this.loginUser),
          pointerenter: () => this.hooks.warm(machine),
          focus: () => this.hooks.warm(machine),
        },
      },
      icon("terminal"),
      h("span", {}, "SSH"),
      h("span", { class: "hidden-text" }, ` to ${machine.shortName}`),
    );
    const row = h(
      "li",
      { class: "machine", data: { machine: machine.shortName, state, ssh: String(machine.ssh) } },
      h("span", { class: "dot", title: STATES[state] }, h("span", { class: "hidden-text" }, STATES[state])),
      h(
        "div",
        { class: "machine-name" },
        h("strong", {}, plain(machine.shortName, 63)),
        h("span", { class: "domain" }, plain(machine.name.slice(machine.shortName.length), 120)),
      ),
      h("span", { class: "machine-address" }, machine.addresses[0] ?? ""),
      h("span", { class: "machine-os" }, plain(osName(machine.os), 20)),
      h("span", { class: "machine-owner" }, owner),
      h("span", { class: "machine-ssh" }, machine.ssh ? "Tailscale SSH" : ""),
      button,
    );
    this.rows.set(machine.shortName, row);
    return row;
  }

  private filterKey(event: KeyboardEvent): void {
    if (event.key === "Enter") {
      const [only, ...others] = this.shown();
      if (only && others.length === 0) this.hooks.connect(only, this.loginUser);
      else this.buttons()[0]?.focus();
    } else if (event.key === "Escape" && this.filter.value) {
      event.stopPropagation();
      this.filter.value = "";
      this.draw();
    }
  }

  private buttons(): HTMLButtonElement[] {
    return [...this.list.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")];
  }

  private keydown(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement && event.target !== this.filter) return;
    const inList = this.list.contains(event.target as Node);
    if (event.key === "/" && event.target !== this.filter) {
      event.preventDefault();
      this.filter.focus();
      return;
    }
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const buttons = this.buttons();
    const at = buttons.indexOf(event.target as HTMLButtonElement);
    const next = inList ? buttons[at + step] : step > 0 ? buttons[0] : undefined;
    if (next) next.focus();
    else if (step < 0) this.filter.focus();
  }

  /** Where the keyboard goes when the list is shown. */
  focus(): void {
    const title = this.element.querySelector("h1");
    if (!matchMedia("(pointer: coarse)").matches) this.filter.focus();
    else title?.focus();
    announce(`${this.machines.length} machines`);
  }
}

const STATES: Record<string, string> = {
  online: "Online",
  offline: "Offline",
  expired: "Key expired",
  unknown: "Not known whether online",
};

function osName(os: string): string {
  const known: Record<string, string> = {
    linux: "Linux",
    macos: "macOS",
    darwin: "macOS",
    windows: "Windows",
    ios: "iOS",
    android: "Android",
    freebsd: "FreeBSD",
    openbsd: "OpenBSD",
    js: "Browser",
  };
  return known[os.toLowerCase()] ?? os;
}

/** Those that can be used first: online with Tailscale SSH, online, the others; by name. */
function byUse(a: Machine, b: Machine): number {
  const rank = (machine: Machine) => (machine.expired || machine.online === false ? 4 : 0) + (machine.ssh ? 0 : 2);
  return rank(a) - rank(b) || a.shortName.localeCompare(b.shortName);
}
