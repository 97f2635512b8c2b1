/** The part of the page that holds terminals: tabs, tools, search, keys for touch screens. */

import type { Shell } from "./dayfly.ts";
import { announce, h, icon, openLink, plain } from "./dom.ts";
import { lazy } from "./lazy.ts";
import type { Session } from "./session.ts";
import type { TerminalHooks, TerminalView } from "./term/view.ts";
import { preview } from "./term/paste.ts";
import { askLink, askPaste, askPasteText, copyText, notice } from "./views/dialogs.ts";
import { SHELL_STEPS, StepList } from "./views/steps.ts";

type TerminalModule = typeof import("./term/view.ts");

export interface ShellsHooks {
  /** Another tab is in front, or its state has changed. Whatever else is on screen stays there. */
  changed(): void;
  /** A shell that somebody has asked for comes to the front, and is to be seen. */
  presented(): void;
  /** The list of machines is wanted, for one more shell. */
  more(): void;
  disconnect(session: Session): void;
  tap(chunk: Uint8Array): void;
}

/** How long a shell may take to open before its connecting is drawn, in milliseconds: drawing would hold it up. */
const DRAW_AFTER = 150;

/** Font sizes in CSS pixels. */
const LARGE_SCREEN_FONT = 14;
const SMALL_SCREEN_FONT = 12;
const SMALLEST_FONT = 9;
const LARGEST_FONT = 28;

export class Shells {
  readonly sessions: Session[] = [];
  current: Session | null = null;
  /** A shell's terminal, made before the shell is asked for. */
  private ahead: Session | null = null;
  /** xterm.js tells screen readers what is on screen, which costs time with each line. */
  private screenReader = false;
  private nextId = 1;
  private fontSize = matchMedia("(max-width: 640px)").matches ? SMALL_SCREEN_FONT : LARGE_SCREEN_FONT;
  private readonly hooks: ShellsHooks;
  private readonly element: HTMLElement;
  private readonly tabs = h("div", { class: "tabs", role: "tablist", aria: { label: "Shells" } });
  private readonly panes = h("div", { class: "panes" });
  private readonly status = h("span", { class: "chip", data: { tone: "good" } });
  private readonly where = h("span", { class: "where" });
  private readonly search: { bar: HTMLElement; field: HTMLInputElement; count: HTMLElement };
  private readonly keys: HTMLElement;
  private readonly ctrl: HTMLButtonElement;

  constructor(element: HTMLElement, hooks: ShellsHooks) {
    this.element = element;
    this.hooks = hooks;
    this.search = this.makeSearch();
    this.ctrl = h(
      "button",
      { type: "button", aria: { pressed: "false" }, data: { key: "ctrl" }, on: { click: () => this.toggleCtrl() } },
      "Ctrl",
    );
    this.keys = this.makeKeys();
    const tool = (id: string, label: string, name: Parameters<typeof icon>[0], run: () => void) =>
      h(
        "button",
        {
          type: "button",
          class: "icon-button",
          title: label,
          aria: { label },
          data: { action: id },
          on: { click: run, mousedown: (event) => event.preventDefault() },
        },
        icon(name),
      );
    element.append(
      h(
        "header",
        { class: "bar" },
        this.tabs,
        h("div", { class: "bar-status" }, this.where, this.status),
        h(
          "div",
          { class: "tools", role: "toolbar", aria: { label: "Terminal" } },
          this.makeReaderSwitch(),
          tool("search", "Search", "search", () => this.openSearch()),
          tool("copy", "Copy", "copy", () => void this.copy()),
          tool("paste", "Paste", "paste", () => void this.paste()),
          tool("smaller", "Smaller text", "smaller", () => this.resizeFont(-1)),
          tool("larger", "Larger text", "larger", () => this.resizeFont(1)),
          tool("disconnect", "Disconnect", "power", () => this.current && hooks.disconnect(this.current)),
        ),
      ),
      this.search.bar,
      this.panes,
      this.keys,
    );
  }

  get open(): Session[] {
    return this.sessions.filter((session) => session.state === "connecting" || session.state === "open");
  }

  /** A new tab. One whose terminal is there already may be open in a moment, and waits for that before it is drawn. */
  begin(host: string, user: string): Session {
    const { ahead } = this;
    const made = ahead?.host === host && ahead.user === user && ahead;
    if (made) this.ahead = null;
    else this.forgetAhead();
    const session = made || this.make(host, user);
    session.began = new Date();
    this.sessions.push(session);
    if (made) setTimeout(() => this.present(session), DRAW_AFTER);
    else this.present(session);
    return session;
  }

  /** Give up what was begun and has not been in front yet. */
  forgetBegun(): void {
    for (const session of this.sessions.filter(({ presented }) => !presented)) this.remove(session);
  }

  /** Draw a session's tab and bring it to the front, unless that was done before. */
  present(session: Session): void {
    if (session.presented || !this.sessions.includes(session)) return;
    session.presented = true;
    this.drawTabs();
    this.bringForward(session);
    this.hooks.presented();
  }

  /** Make the terminal of a shell that will be begun once the node is in the tailnet: out of sight, and laid out. */
  prepareAhead(host: string, user: string): void {
    if (this.ahead || this.sessions.length > 0) return;
    const session = (this.ahead = this.make(host, user));
    this.element.dataset.ahead = "true";
    this.element.hidden = false;
    // Whatever is wrong with it is told to whoever begins it.
    const drop = () => this.ahead === session && this.forgetAhead();
    this.prepare(session).then((view) => view ?? drop(), drop);
  }

  /** It will not be begun. */
  forgetAhead(): void {
    const { ahead } = this;
    if (!ahead) return;
    this.ahead = null;
    ahead.state = "ended";
    ahead.view?.dispose();
    ahead.view = null;
    ahead.pane.remove();
    if (this.element.dataset.ahead) this.show(false);
  }

  private make(host: string, user: string): Session {
    const id = this.nextId++;
    const steps = new StepList(SHELL_STEPS, `Opening a shell on ${host}`);
    const overlay = h("div", { class: "overlay" });
    const pane = h(
      "div",
      { class: "pane", role: "tabpanel", id: `pane-${id}`, data: { state: "connecting" } },
      h("div", { class: "screen" }),
      overlay,
    );
    const select = h(
      "button",
      { type: "button", role: "tab", class: "tab-name", aria: { controls: pane.id, selected: "false" } },
      h("span", { class: "dot" }),
      h("span", { class: "tab-text" }, plain(host, 40)),
    );
    const close = h("button", { type: "button", class: "tab-close", aria: { label: `Close ${host}` } }, icon("close"));
    const tab = h("div", { class: "tab", data: { state: "connecting" } }, select, close);
    const session: Session = {
      id,
      host,
      user,
      began: new Date(),
      steps,
      overlay,
      pane,
      tab,
      view: null,
      shell: null,
      state: "connecting",
      over: new AbortController(),
      presented: false,
      closing: false,
      banner: "",
    };
    select.addEventListener("click", () => this.select(session));
    close.addEventListener("click", () => this.hooks.disconnect(session));
    this.panes.append(pane);
    return session;
  }

  /** Its terminal, which is needed early: the shell has to know its size. `null` if it was given up meanwhile. */
  prepare(session: Session): Promise<TerminalView | null> {
    return (session.prepared ??= this.makeView(session));
  }

  private async makeView(session: Session): Promise<TerminalView | null> {
    const module = await lazy<TerminalModule>("terminal");
    const screen = session.pane.querySelector<HTMLElement>(".screen");
    if (session.state !== "connecting" || !screen) return null;
    // A terminal that is not laid out has no size.
    if (session === this.ahead && this.element.hidden) return null;
    const view = module.createTerminal(screen, this.terminalHooks(session), {
      fontSize: this.fontSize,
      screenReader: this.screenReader,
    });
    session.view = view;
    view.onStickyCtrl = (on) => this.ctrl.setAttribute("aria-pressed", String(on));
    view.onSearchResults((index, count) => {
      this.search.count.textContent =
        count === 0 ? (this.search.field.value ? "none" : "") : `${index + 1} of ${count}`;
    });
    void this.useGpu(view);
    return view;
  }

  /** The shell has started. */
  opened(session: Session, shell: Shell): void {
    session.shell = shell;
    session.state = "open";
    session.steps.finish();
    session.overlay.replaceChildren();
    this.present(session);
    this.mark(session);
    if (session.view) {
      shell.attach(session.view.port);
      session.view.fit();
      session.view.focus();
    }
    announce(`Shell on ${session.host} is open`);
  }

  /** It is over; its tab stays until it is closed, so that its output can be read. */
  ended(session: Session, state: "ended" | "failed"): void {
    session.state = state;
    session.over.abort();
    this.present(session);
    if (session.view) session.view.terminal.options.disableStdin = true;
    this.mark(session);
  }

  /** Close its tab, whatever it is at. */
  remove(session: Session): void {
    const index = this.sessions.indexOf(session);
    if (index < 0) return;
    // What it still tells of its end is of no interest.
    if (session.state !== "failed") session.state = "ended";
    session.over.abort();
    this.sessions.splice(index, 1);
    session.view?.dispose();
    session.view = null;
    session.pane.remove();
    this.drawTabs();
    if (this.current === session) this.select(this.sessions[Math.min(index, this.sessions.length - 1)] ?? null);
  }

  clear(): void {
    for (const session of [...this.sessions]) this.remove(session);
  }

  select(session: Session | null): void {
    this.bringForward(session);
    this.hooks.changed();
  }

  private bringForward(session: Session | null): void {
    this.current = session;
    for (const other of this.sessions) {
      const selected = other === session;
      other.pane.hidden = !selected;
      other.tab.dataset.selected = String(selected);
      const button = other.tab.querySelector("[role=tab]");
      button?.setAttribute("aria-selected", String(selected));
    }
    if (session) {
      this.where.textContent = `${session.user}@${session.host}`;
      session.view?.fit();
      if (session.state === "open") session.view?.focus();
    }
  }

  show(visible: boolean): void {
    this.element.hidden = !visible;
    delete this.element.dataset.ahead;
    if (visible && this.current) {
      this.current.view?.fit();
      if (this.current.state === "open") this.current.view?.focus();
    }
  }

  setStatus(text: string, tone: "good" | "wait" | "bad" | "none"): void {
    this.element.dataset.connection = tone;
    this.status.textContent = text;
    this.status.dataset.tone = tone;
  }

  private mark(session: Session): void {
    session.pane.dataset.state = session.state;
    session.tab.dataset.state = session.state;
    this.hooks.changed();
  }

  private drawTabs(): void {
    const more = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        title: "One more shell",
        aria: { label: "One more shell" },
        data: { action: "more" },
        on: { click: () => this.hooks.more() },
      },
      icon("plus"),
    );
    this.tabs.replaceChildren(...this.sessions.map((session) => session.tab), more);
  }

  private async useGpu(view: TerminalView): Promise<void> {
    try {
      const { drawByGpu } = await lazy<typeof import("./term/webgl.ts")>("webgl");
      if (view.terminal.element) drawByGpu(view.terminal);
    } catch {
      // It draws through the document instead.
    }
  }

  private terminalHooks(session: Session): TerminalHooks {
    return {
      tap: (chunk) => {
        if (session.view?.counters.received === chunk.length) performance.mark("dayfly:prompt");
        this.hooks.tap(chunk);
      },
      confirmPaste: (text) => askPaste(preview(text), text.split("\r").filter(Boolean).length, session.over.signal),
      refusePaste: () => notice("This is too long to paste, and nothing of it was sent. Copy it as a file instead."),
      offerClipboard: (text) => {
        const size = text.length === 1 ? "one character" : `${text.length} characters`;
        notice(`${session.host} wants to put ${size} on your clipboard.`, {
          label: "Allow",
          run: () => void this.toClipboard(text),
        });
      },
      followLink: (url, text) => {
        if (text === undefined) openLink(url);
        else void askLink(url, text, session.over.signal).then((yes) => yes && openLink(url));
      },
      title: (text) => {
        const title = plain(text, 80);
        session.tab.title = title;
        document.title = title ? `${title} · Dayfly` : "Dayfly";
      },
      bell: () => {
        session.tab.dataset.bell = "true";
        setTimeout(() => delete session.tab.dataset.bell, 400);
      },
      shortcut: (name) => {
        if (name === "search") this.openSearch();
        else if (name === "copy") void this.copy();
        else if (name === "tools") this.element.querySelector<HTMLElement>(".tools button")?.focus();
        else this.resizeFont(name === "larger" ? 1 : -1);
      },
    };
  }

  private async toClipboard(text: string): Promise<void> {
    await copyText(text, "This browser does not let the page write to the clipboard.");
    this.current?.view?.focus();
  }

  private async copy(): Promise<void> {
    const selected = this.current?.view?.terminal.getSelection();
    if (selected) await this.toClipboard(selected);
    else notice("Select something first.");
  }

  private async paste(): Promise<void> {
    const { current } = this;
    const view = current?.view;
    if (!view || current.state !== "open") return;
    let text: string | null;
    try {
      text = await navigator.clipboard.readText();
    } catch {
      text = await askPasteText(current.over.signal);
    }
    if (text) await view.paste(text);
    view.focus();
  }

  private resizeFont(by: number): void {
    this.fontSize = Math.min(LARGEST_FONT, Math.max(SMALLEST_FONT, this.fontSize + by));
    for (const { view } of this.sessions) view?.setFontSize(this.fontSize);
    this.current?.view?.focus();
  }

  private makeSearch(): { bar: HTMLElement; field: HTMLInputElement; count: HTMLElement } {
    const count = h("span", { class: "search-count", role: "status" });
    const find = (direction: "next" | "previous", incremental = false) =>
      this.current?.view?.find(field.value, direction, incremental);
    const field = h("input", {
      type: "search",
      id: "terminal-search",
      placeholder: "Search the output",
      autocomplete: "off",
      spellcheck: false,
      aria: { label: "Search the output" },
      on: {
        input: () => (field.value ? find("previous", true) : this.current?.view?.endSearch()),
        keydown: (event) => {
          if (event.key === "Enter") find(event.shiftKey ? "next" : "previous");
          else if (event.key === "Escape") this.closeSearch();
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
    const bar = h(
      "div",
      { class: "search-bar", role: "search", hidden: true },
      icon("search"),
      field,
      count,
      button("Previous", "up", () => find("previous")),
      button("Next", "down", () => find("next")),
      button("Close the search", "close", () => this.closeSearch()),
    );
    return { bar, field, count };
  }

  /** On screen only while it has the focus, which is when it is needed. */
  private makeReaderSwitch(): HTMLElement {
    const button = h(
      "button",
      {
        type: "button",
        class: "button reader-switch",
        aria: { pressed: "false" },
        data: { action: "screen-reader" },
        on: {
          click: () => {
            this.screenReader = !this.screenReader;
            button.setAttribute("aria-pressed", String(this.screenReader));
            for (const { view } of this.sessions) view?.setScreenReader(this.screenReader);
          },
        },
      },
      "Screen reader support",
    );
    return button;
  }

  private openSearch(): void {
    this.search.bar.hidden = false;
    this.search.field.focus();
    this.search.field.select();
  }

  private closeSearch(): void {
    this.search.bar.hidden = true;
    this.current?.view?.endSearch();
    this.current?.view?.focus();
  }

  private toggleCtrl(): void {
    const view = this.current?.view;
    view?.pressCtrlNext(this.ctrl.getAttribute("aria-pressed") !== "true");
    view?.focus();
  }

  /** Keys that touch keyboards don't have. */
  private makeKeys(): HTMLElement {
    const key = (label: string, name: string, press: (view: TerminalView) => void) =>
      h(
        "button",
        {
          type: "button",
          aria: { label: name },
          data: { key: name },
          on: {
            // Keeping the focus keeps the touch keyboard open.
            pointerdown: (event) => event.preventDefault(),
            click: () => {
              const view = this.current?.view;
              if (view && this.current?.state === "open") press(view);
            },
          },
        },
        label,
      );
    const text = (label: string, name: string, sent: string) => key(label, name, (view) => view.type(sent));
    return h(
      "div",
      { class: "keys", role: "toolbar", aria: { label: "Keys" } },
      text("Esc", "escape", "\x1b"),
      text("Tab", "tab", "\t"),
      this.ctrl,
      key("←", "left", (view) => view.arrow("D")),
      key("↓", "down", (view) => view.arrow("B")),
      key("↑", "up", (view) => view.arrow("A")),
      key("→", "right", (view) => view.arrow("C")),
      text("/", "slash", "/"),
      text("|", "pipe", "|"),
      text("~", "tilde", "~"),
      text("-", "minus", "-"),
    );
  }
}
