/** The page's life: one tailnet node, its shells, and which state is on screen. */

import { siteConfig, withSite, type Known, type Settings } from "./config.ts";
import {
  asDayflyError,
  engine,
  type CloseReport,
  type DayflyError,
  type Exit,
  type Machine,
  type Shell,
  type Tailnet,
  type TailnetEvent,
} from "./dayfly.ts";
import { announce, clock, h, plain, plainLines } from "./dom.ts";
import { whenIdle } from "./lazy.ts";
import { drawConnecting, drawEnded, drawFailed, endingOf, promptsOf, showOutput, type Session } from "./session.ts";
import { Shells } from "./shells.ts";
import { card } from "./views/card.ts";
import { copyText, notice } from "./views/dialogs.ts";
import { endedView, errorView, nodeLine, reportLine } from "./views/ended.ts";
import { confirmView, joinView } from "./views/join.ts";
import { approvalView, joiningView, loginView } from "./views/joining.ts";
import { MachinesView } from "./views/machines.ts";
import { JOIN_STEPS, StepList } from "./views/steps.ts";

/** What `document.body.dataset.state` says. */
export type PageState =
  | "boot"
  | "join"
  | "joining"
  | "needs-login"
  | "needs-approval"
  | "machines"
  | "connecting"
  | "terminal"
  | "error"
  | "ended";

export type AppEvent =
  | { type: "page"; state: PageState }
  | { type: "tailnet"; event: TailnetEvent }
  | { type: "shell"; host: string; state: Session["state"] };

export class App {
  state: PageState = "boot";
  tailnet: Tailnet | null = null;
  readonly shells: Shells;
  readonly listeners = new Set<(event: AppEvent) => void>();
  readonly taps = new Set<(chunk: Uint8Array) => void>();
  private readonly view: HTMLElement;
  private settings: Settings = {};
  private known: Known = { settings: {}, start: false, foreign: null };
  private joinSteps = new StepList(JOIN_STEPS, "Joining");
  private machines: MachinesView | null = null;
  /** The module has failed, and nothing can be asked of it any more. */
  broken = false;
  /** It has been `running` once. */
  private joined = false;
  /** Counts attempts, so that what an abandoned one still says is not heard. */
  private attempt = 0;
  private nodeName = "";
  private tailnetState = "";
  private region = "";
  private joiningFailed: DayflyError | null = null;

  constructor(view: HTMLElement, shells: HTMLElement) {
    this.view = view;
    this.shells = new Shells(shells, {
      changed: () => this.shellsChanged(),
      presented: () => this.showShells(),
      more: () => this.showMachines(),
      disconnect: (session) => this.disconnect(session),
      tap: (chunk) => {
        for (const tap of this.taps) tap(chunk);
      },
    });
  }

  /** Whether another link may take this page over: nothing that goes on would be ended. */
  get idle(): boolean {
    return (this.state === "join" || this.state === "ended" || this.state === "error") && this.shells.open.length === 0;
  }

  /** What is known before a person has done anything. */
  begin(known: Known): void {
    this.known = known;
    if (known.start) this.join(known.settings);
    else if (known.foreign)
      this.show(
        "join",
        confirmView(
          known,
          () => this.join(known.settings),
          () => this.editForeign(),
        ),
      );
    else this.showForm();
  }

  /** What is shown where `config.json` takes its time. */
  showReading(): void {
    this.show("boot", card({ title: "Reading this site's settings" }));
  }

  /** This site's settings can't be read, so nobody can tell which server, key and gateways it means. */
  siteFailed(error: DayflyError, retry: () => void): void {
    const again = () => {
      this.showReading();
      retry();
    };
    this.show("error", errorView(error, [], { label: "Try again", id: "retry", run: again, primary: true }));
    announce(error.what);
  }

  /** The form shows no key of the server, so it goes on with this site's own. */
  private editForeign(): void {
    if (this.known.foreign === "key") delete this.known.settings.controlKey;
    this.showForm();
  }

  showForm(): void {
    this.show(
      "join",
      joinView(this.known.settings, (settings) => this.join(settings)),
    );
    const first = this.view.querySelector<HTMLInputElement>(
      this.known.settings.controlUrl ? "#field-authkey" : "#field-control",
    );
    if (!matchMedia("(pointer: coarse)").matches) first?.focus();
  }

  /** Join with these settings. */
  join(settings: Settings): void {
    const attempt = ++this.attempt;
    const { controlUrl } = settings;
    if (!controlUrl) return this.showForm();
    this.settings = settings;
    // The form keeps what was typed, but no key: it may be good for one use only, and screens are looked at.
    const { authKey: _, ...rest } = settings;
    this.known = { settings: rest, start: false, foreign: null };
    this.dropTailnet();
    this.shells.clear();
    this.joined = false;
    this.joiningFailed = null;
    this.machines = null;
    this.region = "";
    this.joinSteps = new StepList(JOIN_STEPS, "Joining");
    this.joinSteps.begin("engine");
    this.show(
      "joining",
      joiningView(controlUrl, this.joinSteps, () => this.cancelJoin()),
    );
    void this.connect(attempt, { ...settings, controlUrl });
  }

  private async connect(attempt: number, given: Settings & { controlUrl: string }): Promise<void> {
    let step = "engine";
    try {
      const { connect } = await engine();
      // A form may be sent off before this site's settings are there.
      step = "config";
      const settings = { ...given, ...withSite(given, await siteConfig(), location.origin) };
      if (attempt !== this.attempt) return;
      step = "control";
      this.settings = settings;
      this.joinSteps.begin("control");
      const { host: _host, user: _user, ...options } = settings;
      this.tailnet = connect(options, (event) => {
        // Events may come while `connect` has not returned yet. That the module has stopped concerns whatever is at hand.
        const concerns = () => attempt === this.attempt || isEnd(event);
        if (concerns()) queueMicrotask(() => concerns() && this.heard(event));
      });
    } catch (error) {
      if (attempt === this.attempt) this.joinFailed(asDayflyError(error, step));
    }
  }

  /** The page goes away: say so to the control server as far as it can still be said. */
  pageHidden(): void {
    this.tailnet?.closeNow();
  }

  /** It came back out of the browser's cache, and its node is gone since. */
  pageRestored(): void {
    if (!this.tailnet) return;
    this.attempt += 1;
    this.tailnet = null;
    this.shells.clear();
    this.showLeft(
      "Closed when you left the page",
      nodeLine("gone", `${this.nodeLabel()} was logged out when the page was put away.`),
    );
  }

  private heard(event: TailnetEvent): void {
    this.emit({ type: "tailnet", event });
    switch (event.type) {
      case "state":
        this.tailnetState = event.state;
        if (event.step) this.joinSteps.begin(event.step);
        // From here on it is the control server's time that passes.
        if (event.step === "login" && this.state === "joining") this.prepareShell();
        if (event.state === "running") this.running();
        else if (event.state === "needs-approval") this.needsApproval();
        else if (event.state === "closed") this.closedByControl();
        else if (event.state === "failed") this.failed();
        this.drawStatus();
        break;
      case "auth-url":
        if (!this.joined) {
          this.show(
            "needs-login",
            loginView(event.url, this.joinSteps, {
              copy: (text) => void copyText(text, "Select the address and copy it by hand."),
              cancel: () => this.cancelJoin(),
            }),
          );
          announce("Sign in to go on");
        } else {
          notice("The control server wants you to sign in again.", {
            label: "Open",
            run: () => void window.open(event.url, "_blank", "noopener,noreferrer"),
          });
        }
        break;
      case "machines":
        if (!this.joined && this.settings.host) this.tailnet?.warm(this.settings.host);
        this.machines?.update(this.machineList());
        break;
      case "relay":
        this.region = event.state === "connected" ? event.region : this.region;
        this.drawStatus();
        break;
      case "error":
        if (isEnd(event)) this.broke(asDayflyError(event, event.step));
        else if (!this.joined) this.joinFailed(asDayflyError(event, event.step));
        else notice(event.what);
    }
  }

  private running(): void {
    this.nodeName = this.tailnet?.self()?.shortName ?? this.settings.hostname ?? "";
    if (this.joined) return;
    this.joined = true;
    this.joinSteps.finish();
    performance.mark("dayfly:running");
    const { host, user } = this.settings;
    if (host) void this.openShell(host, user ?? "root");
    else this.showMachines();
  }

  private needsApproval(): void {
    if (this.joined) return notice("An administrator must approve this machine again: until then it reaches no other.");
    const name = this.tailnet?.self()?.shortName;
    this.show(
      "needs-approval",
      approvalView(name ? plain(name, 63) : "this machine", this.joinSteps, () => this.cancelJoin()),
    );
    announce("Waiting for approval");
  }

  private failed(): void {
    if (!this.joined && !this.joiningFailed) {
      this.joinFailed({ step: "control", what: "Joining failed.", seen: "", todo: "Try again." });
    }
  }

  private joinFailed(error: DayflyError): void {
    if (error.step === "engine") return this.broke(error);
    this.joiningFailed = error;
    this.dropTailnet();
    const settings = this.settings;
    this.show(
      "error",
      errorView(
        error,
        [["Control server", settings.controlUrl]],
        { label: "Try again", id: "retry", run: () => this.join(settings), primary: true },
        { label: "Back", id: "back", run: () => this.showForm() },
      ),
    );
    announce(error.what);
  }

  /** The module is not there, or has stopped: only another one can go on. Not even a goodbye is asked of this one. */
  private broke(error: DayflyError): void {
    if (this.broken) return;
    this.attempt += 1;
    this.broken = true;
    this.tailnet = null;
    this.shells.forgetAhead();
    for (const session of this.shells.open) this.shells.ended(session, "failed");
    this.show(
      "error",
      errorView(error, [["Control server", this.settings.controlUrl]], {
        label: "Reload",
        id: "reload",
        run: () => location.reload(),
        primary: true,
      }),
    );
    announce(error.what);
  }

  private cancelJoin(): void {
    this.attempt += 1;
    this.dropTailnet();
    this.showForm();
  }

  private dropTailnet(): void {
    const old = this.tailnet;
    this.tailnet = null;
    this.shells.forgetAhead();
    this.shells.forgetBegun();
    // What became of it is of no interest any more.
    void old?.close().catch(() => {});
  }

  private closedByControl(): void {
    if (!this.tailnet) return;
    this.attempt += 1;
    this.tailnet = null;
    for (const session of this.shells.open) this.shells.ended(session, "ended");
    this.showLeft(
      "The tailnet let this page go",
      nodeLine("gone", `${this.nodeLabel()} was removed from the tailnet at ${clock()}.`),
    );
  }

  // Machines

  private machineList(): Machine[] {
    return this.tailnet?.machines() ?? [];
  }

  showMachines(): void {
    if (!this.tailnet) return;
    this.machines ??= new MachinesView(this.settings.user ?? "root", {
      connect: (machine, user) => void this.openShell(machine.shortName || machine.name, user),
      warm: (machine) => this.tailnet?.warm(machine.name),
      leave: () => void this.leave(),
      shells: () => this.showShells(),
    });
    this.machines.update(this.machineList());
    this.machines.setShells(this.shells.sessions.length > 0);
    this.show("machines", this.machines.element);
    this.machines.focus();
    this.drawStatus();
  }

  // Shells

  /** The terminal of the shell that the page will open by itself. */
  private prepareShell(): void {
    const { attempt } = this;
    const { host, user } = this.settings;
    if (!host) return;
    whenIdle(() => {
      if (attempt === this.attempt && this.state === "joining") this.shells.prepareAhead(host, user ?? "root");
    });
  }

  async openShell(host: string, user: string): Promise<void> {
    const { tailnet, attempt } = this;
    if (!tailnet) return;
    tailnet.warm(host);
    const session = this.shells.begin(host, user);
    let step = "engine";
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
      if (session.state !== "connecting" || attempt !== this.attempt) return shell.close();
      this.shellOpened(session, shell);
    } catch (error) {
      this.shellFailed(session, asDayflyError(error, step));
    }
  }

  private shellOpened(session: Session, shell: Shell): void {
    this.shells.opened(session, shell);
    this.emit({ type: "shell", host: session.host, state: "open" });
    void shell.exit.then((exit) => this.shellEnded(session, exit));
  }

  private shellFailed(session: Session, error: DayflyError): void {
    if (session.state !== "connecting" && session.state !== "open") return;
    session.error = error;
    drawFailed(
      session,
      error,
      () => this.again(session),
      () => this.back(session),
    );
    this.shells.ended(session, "failed");
    this.emit({ type: "shell", host: session.host, state: "failed" });
    announce(error.what);
    this.focusHeading(session.overlay);
  }

  private shellEnded(session: Session, exit: Exit): void {
    if (session.state !== "open") return;
    session.exit = exit;
    if (exit.error && !session.closing) return this.shellFailed(session, exit.error);
    const title = endingOf(session, exit);
    // With the list on screen, the page is there for more than the one shell that it was opened for.
    const stays = (!this.settings.host || this.state === "machines") && this.tailnet !== null;
    const line = h("div", {}, nodeLine("present", `${this.nodeLabel()} is still in the tailnet.`));
    drawEnded(
      session,
      title,
      line,
      stays
        ? { label: "Machines", id: "back", run: () => this.back(session), primary: true }
        : { label: "Open again", id: "retry", run: () => this.again(session), primary: true },
      { label: "Show the output", id: "output", run: () => showOutput(session) },
      stays &&
        this.shells.open.length <= 1 && { label: "Leave the tailnet", id: "leave", run: () => void this.leave(line) },
    );
    this.shells.ended(session, "ended");
    this.emit({ type: "shell", host: session.host, state: "ended" });
    announce(title);
    this.focusHeading(session.overlay);
    // The page was opened for this one shell: nothing keeps its node in the tailnet.
    if (!stays && this.shells.open.length === 0) void this.leave(line);
  }

  private disconnect(session: Session): void {
    if (session.state === "open") {
      session.closing = true;
      session.shell?.close();
    } else this.back(session);
  }

  /** Close a tab, and go where there is still something. */
  private back(session: Session): void {
    this.shells.remove(session);
    if (this.shells.sessions.length > 0) this.showShells();
    else if (this.tailnet) this.showMachines();
    else this.showForm();
  }

  private again(session: Session): void {
    const { host, user } = session;
    this.shells.remove(session);
    if (this.tailnet) void this.openShell(host, user);
    else this.join({ ...this.settings, host, user });
  }

  private showBanner(session: Session, text: string): void {
    this.shells.present(session);
    session.banner = plainLines(`${session.banner}${text}`, 4000);
    drawConnecting(session, () => this.disconnect(session));
    announce(session.banner);
  }

  // Leaving

  /** Log out, and say what became of the node: in `line`, or on a page of its own. */
  async leave(line?: HTMLElement): Promise<void> {
    const tailnet = this.tailnet;
    if (!tailnet) return;
    const name = this.nodeLabel();
    this.attempt += 1;
    this.tailnet = null;
    let target = line;
    if (target) {
      target.replaceChildren(nodeLine("leaving", `Removing ${name} from the tailnet …`));
      for (const button of target.parentElement?.querySelectorAll("[data-action=leave], [data-action=back]") ?? [])
        button.remove();
      for (const session of this.shells.open) if (session.state === "connecting") this.shells.remove(session);
    } else {
      this.shells.clear();
      target = h("div", {}, nodeLine("leaving", `Removing ${name} from the tailnet …`));
      this.showLeft("You have left the tailnet", target);
    }
    let report: CloseReport;
    try {
      report = await tailnet.close();
    } catch (error) {
      report = { node: name, removed: false, seen: asDayflyError(error, "control").seen };
    }
    this.drawStatus();
    const said = reportLine(report, name);
    target.replaceChildren(said);
    announce(said.textContent ?? "");
  }

  private showLeft(title: string, node: HTMLElement): void {
    this.show(
      "ended",
      endedView(
        { title, about: [["Control server", this.settings.controlUrl]], node },
        { label: "Start again", id: "restart", run: () => this.showForm(), primary: true },
      ),
    );
    announce(title);
  }

  private nodeLabel(): string {
    return this.nodeName ? `The node ${plain(this.nodeName, 63)}` : "This page's node";
  }

  // What is on screen

  private show(state: PageState, element: HTMLElement): void {
    this.shells.show(false);
    this.view.hidden = false;
    this.view.replaceChildren(element);
    this.setState(state);
    this.focusHeading(element);
    window.scrollTo(0, 0);
  }

  private showShells(): void {
    this.view.hidden = true;
    this.view.replaceChildren();
    this.shells.show(true);
    this.shellsChanged();
  }

  private shellsChanged(): void {
    const current = this.shells.current;
    this.machines?.setShells(current !== null);
    if (!current) return;
    if (current.state === "connecting" && !current.overlay.firstChild)
      drawConnecting(current, () => this.disconnect(current));
    // What a shell does by itself takes nobody away from the list, where they may be typing.
    if (!this.view.hidden) return;
    const states = { connecting: "connecting", open: "terminal", ended: "ended", failed: "error" } as const;
    this.setState(states[current.state]);
    this.drawStatus();
  }

  private setState(state: PageState): void {
    if (state !== "terminal") document.title = "Dayfly";
    if (this.state === state) return;
    this.state = state;
    document.body.dataset.state = state;
    performance.mark(`dayfly:state:${state}`);
    this.emit({ type: "page", state });
  }

  private drawStatus(): void {
    if (!this.tailnet) return this.shells.setStatus("not connected", "none");
    const waiting =
      this.tailnetState === "reconnecting" ||
      this.tailnetState === "needs-approval" ||
      this.tailnetState === "connecting";
    const where = this.region ? plain(this.region, 24) : "connected";
    const text =
      this.tailnetState === "needs-approval"
        ? "Waiting for approval"
        : waiting
          ? "Reconnecting"
          : this.tailnetState === "failed"
            ? "Control server lost"
            : where;
    const tone = waiting ? "wait" : this.tailnetState === "failed" ? "bad" : "good";
    this.machines?.setStatus(text, tone);
    this.shells.setStatus(text, tone);
  }

  private focusHeading(inside: HTMLElement): void {
    inside.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }

  private emit(event: AppEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

/** Whether it tells of the end of the module itself. */
function isEnd(event: TailnetEvent): boolean {
  return event.type === "error" && event.step === "engine";
}
