/** The part of the page that holds terminals: tabs, panes and tools. */

import { notice } from "../../ui/dialogs.ts";
import { announce, h } from "../../ui/dom.ts";
import { icon } from "../../ui/icons.ts";
import { openLink } from "../../ui/links.ts";
import { plain } from "../../ui/text.ts";
import type { Shell } from "../api.ts";
import { lazy } from "../lazy.ts";
import type { Tone } from "../status.ts";
import { preview } from "../term/paste.ts";
import type { TerminalHooks, TerminalView } from "../term/view.ts";
import { askLink, askPaste } from "../views/questions.ts";
import { copySelection, paste, toClipboard } from "./clipboard.ts";
import { TouchKeys } from "./keys.ts";
import { SearchBar } from "./search.ts";
import { makeSession, type Session } from "./session.ts";

type TerminalModule = typeof import("../term/view.ts");

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
  private readonly inFront = () => this.current;
  private readonly search = new SearchBar(() => this.current?.view ?? null);
  private readonly keys = new TouchKeys(this.inFront);

  constructor(element: HTMLElement, hooks: ShellsHooks) {
    this.element = element;
    this.hooks = hooks;
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
          tool("search", "Search", "search", () => this.search.open()),
          tool("copy", "Copy", "copy", () => void copySelection(this.inFront)),
          tool("paste", "Paste", "paste", () => void paste(this.current)),
          tool("smaller", "Smaller text", "smaller", () => this.resizeFont(-1)),
          tool("larger", "Larger text", "larger", () => this.resizeFont(1)),
          tool("disconnect", "Disconnect", "power", () => this.current && hooks.disconnect(this.current)),
        ),
      ),
      this.search.element,
      this.panes,
      this.keys.element,
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
    // Whatever is wrong with it is reported to whoever begins it.
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
    const session = makeSession(this.nextId++, host, user, {
      select: (session) => this.select(session),
      close: (session) => this.hooks.disconnect(session),
    });
    this.panes.append(session.pane);
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
    view.onStickyCtrl = (on) => this.keys.setCtrl(on);
    view.onSearchResults((index, count) => this.search.setResults(index, count));
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

  setStatus(text: string, tone: Tone): void {
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
      const { drawByGpu } = await lazy<typeof import("../term/webgl.ts")>("webgl");
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
          run: () => void toClipboard(text, this.inFront),
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
        if (name === "search") this.search.open();
        else if (name === "copy") void copySelection(this.inFront);
        else if (name === "tools") this.element.querySelector<HTMLElement>(".tools button")?.focus();
        else this.resizeFont(name === "larger" ? 1 : -1);
      },
    };
  }

  private resizeFont(by: number): void {
    this.fontSize = Math.min(LARGEST_FONT, Math.max(SMALLEST_FONT, this.fontSize + by));
    for (const { view } of this.sessions) view?.setFontSize(this.fontSize);
    this.current?.view?.focus();
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
}
