/**
 * A terminal in the page: xterm.js, what is allowed through it, and the port that a shell is attached to.
 *
 * Nothing here knows of tailnets. Whatever needs a person's consent is asked through `TerminalHooks`.
 */

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import { isWebUrl } from "../../ui/links.ts";
import type { Disposable, TerminalPort } from "../api.ts";
import { parseOsc52 } from "./clipboard.ts";
import { countOutput } from "./frames.ts";
import { OutputReader } from "./output.ts";
import { cleanPaste, LONGEST_PASTE, needsConsent, pasteBytes } from "./paste.ts";
import { mayBeSent } from "./replies.ts";
import { currentTheme, prefersDark } from "./themes.ts";

/** What the terminal asks of the page around it. */
export interface TerminalHooks {
  /** Sees each chunk of output before it is drawn. */
  tap(chunk: Uint8Array): void;
  /** A text of several lines is to be pasted into a program that would run it line by line. */
  confirmPaste(text: string): Promise<boolean>;
  /** A text was too long to be pasted. */
  refusePaste(): void;
  /** A program offers a text for the clipboard. Writes it, or not. */
  offerClipboard(text: string): void;
  /** A link was clicked. `text` is what it says, where that is not the address itself. */
  followLink(url: string, text?: string): void;
  /** A program set the title. */
  title(text: string): void;
  bell(): void;
  /** A shortcut of the page, pressed while the terminal has the focus. */
  shortcut(name: "search" | "copy" | "larger" | "smaller" | "tools"): void;
}

const FONTS =
  'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';

/** Lines kept above the screen. At 150 columns each takes 4 KB. */
const SCROLLBACK = 3000;

export class TerminalView {
  readonly element: HTMLElement;
  private readonly output = new OutputReader();
  readonly port: TerminalPort;
  readonly terminal: Terminal;
  /** Bytes drawn, and UTF-16 units sent. */
  readonly counters = { received: 0, sent: 0, refused: 0 };
  /** Who waits for chunks to be parsed, oldest first. */
  private unparsed: (() => void)[] = [];
  private gone = false;

  private readonly fitAddon = new FitAddon();
  /** What is being searched for, if anything. */
  private sought = "";
  private readonly searchAddon = new SearchAddon({ highlightLimit: 500 });
  private readonly observer: ResizeObserver;
  private readonly dataListeners = new Set<(text: string) => void>();
  private readonly hooks: TerminalHooks;
  /** The page itself is sending: pasted or typed by its own buttons. */
  private composing = false;
  /** The next key is pressed together with Ctrl, on devices without one. */
  private stickyCtrl = false;
  onStickyCtrl: (on: boolean) => void = () => {};

  constructor(parent: HTMLElement, hooks: TerminalHooks, options: { fontSize: number; screenReader: boolean }) {
    this.hooks = hooks;
    const terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      cursorInactiveStyle: "outline",
      fontFamily: FONTS,
      fontSize: options.fontSize,
      fontWeightBold: "600",
      lineHeight: 1.15,
      macOptionIsMeta: false,
      rescaleOverlappingGlyphs: true,
      screenReaderMode: options.screenReader,
      scrollback: SCROLLBACK,
      theme: currentTheme(),
      // Reports of the window's title, position and state stay off; all of `windowOptions` is off by default.
      windowOptions: {},
      linkHandler: {
        activate: (_event, url, range) => this.followLink(url, this.textOf(range)),
        allowNonHttpProtocols: false,
      },
    });
    this.terminal = terminal;
    this.element = parent;
    terminal.loadAddon(this.fitAddon);
    terminal.loadAddon(this.searchAddon);
    terminal.loadAddon(new UnicodeGraphemesAddon());
    terminal.loadAddon(new WebLinksAddon((_event, url) => this.followLink(url)));
    this.refuseQueries();
    terminal.open(parent);

    terminal.onData((text) => this.send(text));
    terminal.onTitleChange((title) => hooks.title(title));
    terminal.onBell(() => hooks.bell());
    terminal.attachCustomKeyEventHandler((event) => this.handleKey(event));
    parent.addEventListener("paste", this.handlePaste, true);
    prefersDark.addEventListener("change", this.applyTheme);
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(parent);
    this.port = this.makePort();
    this.fit();
  }

  /** Take the size that there is room for. */
  fit(): void {
    if (this.element.clientWidth > 0 && this.element.clientHeight > 0) this.fitAddon.fit();
  }

  focus(): void {
    this.terminal.focus();
  }

  /** Send text as if typed: buttons, tests. */
  type(text: string): void {
    this.composing = true;
    try {
      this.terminal.input(text, true);
    } finally {
      this.composing = false;
    }
  }

  /**
   * Send a copied text, after asking where it would run more than one line. All of it or nothing: half a script is
   * another script.
   */
  async paste(text: string): Promise<void> {
    if (text.length > LONGEST_PASTE) return this.hooks.refusePaste();
    const clean = cleanPaste(text);
    if (!clean) return;
    if (needsConsent(clean, this.terminal.modes.bracketedPasteMode) && !(await this.hooks.confirmPaste(clean))) return;
    // The mode may have changed while the question was open.
    this.type(pasteBytes(clean, this.terminal.modes.bracketedPasteMode));
    this.terminal.scrollToBottom();
  }

  pressCtrlNext(on: boolean): void {
    this.stickyCtrl = on;
    this.onStickyCtrl(on);
  }

  /** A cursor key in the form that the program on screen has asked for. */
  arrow(letter: "A" | "B" | "C" | "D"): void {
    this.type(`\x1b${this.terminal.modes.applicationCursorKeysMode ? "O" : "["}${letter}`);
  }

  find(text: string, direction: "next" | "previous", incremental = false): boolean {
    const css = getComputedStyle(document.documentElement);
    const options = {
      incremental,
      decorations: {
        matchBackground: css.getPropertyValue("--match").trim(),
        activeMatchBackground: css.getPropertyValue("--match-active").trim(),
        matchOverviewRuler: css.getPropertyValue("--match").trim(),
        activeMatchColorOverviewRuler: css.getPropertyValue("--match-active").trim(),
      },
    };
    this.sought = text;
    return direction === "next"
      ? this.searchAddon.findNext(text, options)
      : this.searchAddon.findPrevious(text, options);
  }

  onSearchResults(listener: (index: number, count: number) => void): void {
    this.searchAddon.onDidChangeResults(({ resultIndex, resultCount }) => listener(resultIndex, resultCount));
  }

  endSearch(): void {
    this.sought = "";
    this.searchAddon.clearDecorations();
    this.terminal.clearSelection();
  }

  setScreenReader(on: boolean): void {
    this.terminal.options.screenReaderMode = on;
  }

  setFontSize(size: number): void {
    this.terminal.options.fontSize = size;
    this.fit();
  }

  /** All lines, scrollback first; what wrapped is one line again. */
  text(): string {
    const buffer = this.terminal.buffer.active;
    const lines: string[] = [];
    for (let y = 0; y < buffer.length; y++) {
      const line = buffer.getLine(y);
      if (!line) continue;
      const next = buffer.getLine(y + 1)?.isWrapped ?? false;
      const text = line.translateToString(!next);
      if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.join("\n").trimEnd();
  }

  dispose(): void {
    this.observer.disconnect();
    prefersDark.removeEventListener("change", this.applyTheme);
    this.element.removeEventListener("paste", this.handlePaste, true);
    this.dataListeners.clear();
    this.gone = true;
    this.terminal.dispose();
    // Nobody waits for a terminal that is gone.
    for (const done of this.unparsed.splice(0)) done();
  }

  private makePort(): TerminalPort {
    const terminal = this.terminal;
    const view = this;
    // They are parsed in the order in which they were written.
    const parsed = () => view.unparsed.shift()?.();
    return {
      get cols() {
        return terminal.cols;
      },
      get rows() {
        return terminal.rows;
      },
      write(data, done) {
        view.counters.received += data.length;
        countOutput(data.length);
        view.hooks.tap(data);
        if (view.gone) return done();
        view.unparsed.push(done);
        terminal.write(view.output.read(data), parsed);
      },
      onData(listener): Disposable {
        view.dataListeners.add(listener);
        return { dispose: () => view.dataListeners.delete(listener) };
      },
      onBinary: (listener) => terminal.onBinary((text) => mayBeSent(text) && listener(text)),
      onResize: (listener) => terminal.onResize(listener),
    };
  }

  private send(text: string): void {
    if (!this.composing && !mayBeSent(text)) {
      this.counters.refused += 1;
      return;
    }
    let out = text;
    if (this.stickyCtrl && text.length === 1) {
      const code = text.toUpperCase().charCodeAt(0);
      if (code >= 0x40 && code <= 0x5f) out = String.fromCharCode(code & 0x1f);
      else if (code === 0x20) out = "\0";
      this.pressCtrlNext(false);
    }
    this.counters.sent += out.length;
    for (const listener of this.dataListeners) listener(out);
  }

  /** Questions whose answers would carry what a program has set: they are not even put to the emulator. */
  private refuseQueries(): void {
    const { parser } = this.terminal;
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, () => true);
    parser.registerCsiHandler({ prefix: ">", final: "q" }, () => true);
    parser.registerOscHandler(52, (data) => {
      const request = parseOsc52(data);
      if (request.kind === "write") this.hooks.offerClipboard(request.text);
      return true;
    });
  }

  private followLink(url: string, text?: string): void {
    if (!isWebUrl(url)) return;
    const same = text === undefined || text.trim() === url;
    if (same) this.hooks.followLink(url);
    else this.hooks.followLink(url, text);
  }

  /** What is written where an OSC 8 link is. */
  private textOf(range: { start: { x: number; y: number }; end: { x: number; y: number } }): string {
    let text = "";
    for (let y = range.start.y; y <= range.end.y && text.length < 500; y++) {
      const from = y === range.start.y ? range.start.x - 1 : 0;
      const to = y === range.end.y ? range.end.x : undefined;
      text += this.terminal.buffer.active.getLine(y - 1)?.translateToString(true, from, to) ?? "";
    }
    return text;
  }

  private readonly handlePaste = (event: ClipboardEvent): void => {
    event.preventDefault();
    event.stopImmediatePropagation();
    void this.paste(event.clipboardData?.getData("text/plain") ?? "");
  };

  private readonly applyTheme = (): void => {
    this.terminal.options.theme = currentTheme();
    // Matches are marked in the colours of the scheme in which they were found, and marked anew only for a new search.
    const { sought } = this;
    if (!sought) return;
    this.searchAddon.clearDecorations();
    this.find(sought, "next", true);
  };

  /** The page's own shortcuts; everything else is the shell's. */
  private handleKey(event: KeyboardEvent): boolean {
    if (event.type !== "keydown") return true;
    const mac = navigator.platform.startsWith("Mac");
    const ours = mac ? event.metaKey && !event.ctrlKey : event.ctrlKey && event.shiftKey;
    const zoom = (mac ? event.metaKey : event.ctrlKey) && !event.altKey;
    const act = (name: Parameters<TerminalHooks["shortcut"]>[0]) => {
      event.preventDefault();
      this.hooks.shortcut(name);
      return false;
    };
    if (ours && event.code === "KeyF") return act("search");
    if (ours && event.code === "KeyC" && this.terminal.hasSelection()) return act("copy");
    // Left to the browser, whose paste event carries the text without a question for permission.
    if (!mac && ours && event.code === "KeyV") return false;
    if (zoom && (event.key === "+" || event.key === "=")) return act("larger");
    // Tab belongs to the shell: this is the keyboard's way out of the terminal.
    if (event.ctrlKey && event.key === "F6") return act("tools");
    if (zoom && event.key === "-" && !event.shiftKey) return act("smaller");
    return true;
  }
}

/** Make a terminal inside `parent`, which fills it. */
export function createTerminal(
  parent: HTMLElement,
  hooks: TerminalHooks,
  options: { fontSize: number; screenReader: boolean },
): TerminalView {
  return new TerminalView(parent, hooks, options);
}
