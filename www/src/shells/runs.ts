/** Opens shells over the page's node, and sees each through to its end. */

import { notice } from "../../ui/dialogs.ts";
import { announce, focusHeading, h } from "../../ui/dom.ts";
import { plainLines } from "../../ui/text.ts";
import type { Exit, Shell } from "../api.ts";
import { asPageError, type PageError, type PageStep } from "../errors.ts";
import { whenIdle } from "../lazy.ts";
import type { PageNode } from "../node.ts";
import { nodeLine } from "../views/ended.ts";
import { drawConnecting, drawEnded, drawFailed, endingOf, showOutput } from "../views/shell.ts";
import { promptsOf, type Session } from "./session.ts";
import type { Shells } from "./shells.ts";

export interface RunsHooks {
  /** A shell has opened, ended or failed. */
  changed(session: Session): void;
  /** A tab was closed: show what there still is. */
  back(): void;
  /** Join anew for this shell: its node has left the tailnet. */
  rejoin(host: string, user: string): void;
  /** Log the node out, and say so in `line`. */
  leave(line: HTMLElement): void;
  /** The list of machines is on screen. */
  hasList(): boolean;
}

export class Runs {
  private readonly node: PageNode;
  private readonly shells: Shells;
  private readonly hooks: RunsHooks;

  constructor(node: PageNode, shells: Shells, hooks: RunsHooks) {
    this.node = node;
    this.shells = shells;
    this.hooks = hooks;
  }

  /** Make the terminal of the shell that the page will open by itself, while it is `wanted`. */
  prepare(wanted: () => boolean): void {
    const { attempt, settings } = this.node;
    const { host, user } = settings;
    if (!host) return;
    whenIdle(() => {
      if (attempt === this.node.attempt && wanted()) this.shells.prepareAhead(host, user ?? "root");
    });
  }

  async open(host: string, user: string): Promise<void> {
    const { tailnet, attempt } = this.node;
    if (!tailnet) return;
    tailnet.warm(host);
    const session = this.shells.begin(host, user);
    let step: PageStep = "engine";
    try {
      const view = await this.shells.prepare(session);
      if (!view) return;
      step = "ssh";
      const shell = await tailnet.ssh({
        host,
        user,
        cols: view.terminal.cols,
        rows: view.terminal.rows,
        signal: session.over.signal,
        prompts: promptsOf(session, (text) => this.showBanner(session, text)),
        onEvent: (event) => {
          if (event.type === "step") session.steps.begin(event.step);
          else notice(event.what);
        },
      });
      if (session.state !== "connecting" || attempt !== this.node.attempt) return shell.close();
      this.opened(session, shell);
    } catch (error) {
      this.failed(session, asPageError(error, step));
    }
  }

  /** End a shell that is open, and close the tab of any other. */
  disconnect(session: Session): void {
    if (session.state === "open") {
      session.closing = true;
      session.shell?.close();
    } else this.back(session);
  }

  private opened(session: Session, shell: Shell): void {
    this.shells.opened(session, shell);
    this.hooks.changed(session);
    void shell.exit.then((exit) => this.ended(session, exit));
  }

  private failed(session: Session, error: PageError): void {
    if (session.state !== "connecting" && session.state !== "open") return;
    drawFailed(
      session,
      error,
      () => this.again(session),
      () => this.back(session),
    );
    this.shells.ended(session, "failed");
    this.hooks.changed(session);
    announce(error.what);
    focusHeading(session.overlay);
  }

  private ended(session: Session, exit: Exit): void {
    if (session.state !== "open") return;
    if (exit.error && !session.closing) return this.failed(session, exit.error);
    const title = endingOf(session, exit);
    // With the list on screen, the page is there for more than the one shell that it was opened for.
    const stays = (!this.node.settings.host || this.hooks.hasList()) && this.node.tailnet !== null;
    const line = h("div", {}, nodeLine("present", `${this.node.label} is still in the tailnet.`));
    drawEnded(
      session,
      title,
      line,
      stays
        ? { label: "Machines", id: "back", run: () => this.back(session), primary: true }
        : { label: "Open again", id: "retry", run: () => this.again(session), primary: true },
      { label: "Show the output", id: "output", run: () => showOutput(session) },
      stays &&
        this.shells.open.length <= 1 && {
          label: "Leave the tailnet",
          id: "leave",
          run: () => this.hooks.leave(line),
        },
    );
    this.shells.ended(session, "ended");
    this.hooks.changed(session);
    announce(title);
    focusHeading(session.overlay);
    // The page was opened for this one shell: nothing keeps its node in the tailnet.
    if (!stays && this.shells.open.length === 0) this.hooks.leave(line);
  }

  /** Close a tab, and go where there is still something. */
  private back(session: Session): void {
    this.shells.remove(session);
    this.hooks.back();
  }

  private again(session: Session): void {
    const { host, user } = session;
    this.shells.remove(session);
    if (this.node.tailnet) void this.open(host, user);
    else this.hooks.rejoin(host, user);
  }

  private showBanner(session: Session, text: string): void {
    this.shells.present(session);
    session.banner = plainLines(`${session.banner}${text}`, 4000);
    drawConnecting(session, () => this.disconnect(session));
    announce(session.banner);
  }
}
