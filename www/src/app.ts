/** The page's life: a node, its shells, and which of the page's states is on screen. */

import { copyText, notice } from "../ui/dialogs.ts";
import { announce, h } from "../ui/dom.ts";
import { StepList } from "../ui/steps.ts";
import { clock, plain } from "../ui/text.ts";
import type { CloseReport, Machine, Tailnet, TailnetEvent } from "./api.ts";
import type { Known, Settings } from "./config.ts";
import { asPageError, type PageError } from "./errors.ts";
import { isEnd, PageNode } from "./node.ts";
import { type PageState, Screen } from "./screen.ts";
import { Runs } from "./shells/runs.ts";
import type { Session } from "./shells/session.ts";
import { Shells } from "./shells/shells.ts";
import { statusOf } from "./status.ts";
import { card } from "./views/card.ts";
import { endedView, errorView, nodeLine, reportLine } from "./views/ended.ts";
import { confirmView, joinView } from "./views/join.ts";
import { approvalView, joiningView, loginView } from "./views/joining.ts";
import { MachinesView } from "./views/machines.ts";
import { drawConnecting } from "./views/shell.ts";
import { JOIN_STEPS } from "./views/steps.ts";

/** What `App.listeners` hear. */
export type AppEvent =
  | { type: "page"; state: PageState }
  | { type: "tailnet"; event: TailnetEvent }
  | { type: "shell"; host: string; state: Session["state"] };

export class App {
  readonly shells: Shells;
  readonly listeners = new Set<(event: AppEvent) => void>();
  readonly taps = new Set<(chunk: Uint8Array) => void>();
  /** The module has failed, and nothing can be asked of it any more. */
  broken = false;
  private readonly view: HTMLElement;
  private readonly screen: Screen;
  private readonly node: PageNode;
  private readonly runs: Runs;
  private known: Known = { settings: {}, start: false, confirm: null, linkKey: false };
  private joinSteps = new StepList(JOIN_STEPS, "Joining");
  private joiningFailed = false;
  private machines: MachinesView | null = null;

  /** A page whose parts are in `view` and `shells`, on a site with the settings that `site` reads. */
  constructor(view: HTMLElement, shells: HTMLElement, site: () => Promise<Settings>) {
    this.view = view;
    this.shells = new Shells(shells, {
      changed: () => this.shellsChanged(),
      presented: () => this.showShells(),
      more: () => this.showMachines(),
      disconnect: (session) => this.runs.disconnect(session),
      tap: (chunk) => {
        for (const tap of this.taps) tap(chunk);
      },
    });
    this.screen = new Screen(view, this.shells, (state) => this.emit({ type: "page", state }));
    this.node = new PageNode(site, {
      begun: () => this.joinSteps.begin("control"),
      event: (event) => this.heard(event),
      failed: (error) => this.joinFailed(error),
    });
    this.runs = new Runs(this.node, this.shells, {
      changed: ({ host, state }) => this.emit({ type: "shell", host, state }),
      back: () => this.back(),
      rejoin: (host, user) => this.join({ ...this.node.settings, host, user }),
      leave: (line) => void this.leave(line),
      hasList: () => this.state === "machines",
    });
  }

  get state(): PageState {
    return this.screen.state;
  }

  get tailnet(): Tailnet | null {
    return this.node.tailnet;
  }

  /** Whether another link may take this page over: nothing that goes on would be ended. */
  get idle(): boolean {
    return (this.state === "join" || this.state === "ended" || this.state === "error") && this.shells.open.length === 0;
  }

  // Before joining

  /** Go on with what is known before a person has done anything. */
  begin(known: Known): void {
    this.known = known;
    const join = () => this.join(known.settings);
    if (known.start) join();
    else if (known.confirm)
      this.screen.show(
        "join",
        confirmView(known, join, () => this.editLink()),
      );
    else this.showForm();
  }

  /** Say that `config.json` takes its time. */
  showReading(): void {
    this.screen.show("boot", card({ title: "Reading this site's settings" }));
  }

  /** Say that this site's settings can't be read, so that nobody can tell which server, key and gateways it means. */
  siteFailed(error: PageError, retry: () => void): void {
    const again = () => {
      this.showReading();
      retry();
    };
    this.screen.show("error", errorView(error, [], { label: "Try again", id: "retry", run: again, primary: true }));
    announce(error.what);
  }

  /** The form shows no key of the server, so it goes on with this site's own. */
  private editLink(): void {
    if (this.known.confirm === "key") delete this.known.settings.controlKey;
    this.showForm();
  }

  private showForm(): void {
    this.screen.show(
      "join",
      joinView(this.known.settings, (settings) => this.join(settings)),
    );
    const first = this.view.querySelector<HTMLInputElement>(
      this.known.settings.controlUrl ? "#field-authkey" : "#field-control",
    );
    if (!matchMedia("(pointer: coarse)").matches) first?.focus();
  }

  // Joining

  private join(settings: Settings): void {
    const old = this.node.abandon();
    void old?.close().catch(() => {});
    const { controlUrl } = settings;
    if (!controlUrl) return this.showForm();
    // The form keeps what was typed, but no key: it may be good for one use only, and screens are looked at.
    const { authKey: _, ...rest } = settings;
    this.known = { settings: rest, start: false, confirm: null, linkKey: false };
    this.shells.forgetAhead();
    this.shells.clear();
    this.joiningFailed = false;
    this.machines = null;
    this.joinSteps = new StepList(JOIN_STEPS, "Joining");
    this.joinSteps.begin("engine");
    this.screen.show(
      "joining",
      joiningView(controlUrl, this.joinSteps, () => this.cancelJoin()),
    );
    void this.node.join({ ...settings, controlUrl });
  }

  private heard(event: TailnetEvent): void {
    this.emit({ type: "tailnet", event });
    switch (event.type) {
      case "state":
        if (event.step) this.joinSteps.begin(event.step);
        // From here on it is the control server's time that passes.
        if (event.step === "login" && this.state === "joining") this.runs.prepare(() => this.state === "joining");
        if (event.state === "running") this.running();
        else if (event.state === "needs-approval") this.needsApproval();
        else if (event.state === "closed") this.closedByControl();
        else if (event.state === "failed") this.failed();
        this.drawStatus();
        break;
      case "auth-url":
        if (!this.node.joined) this.needsLogin(event.url);
        else
          notice("The control server wants you to sign in again.", {
            label: "Open",
            run: () => void window.open(event.url, "_blank", "noopener,noreferrer"),
          });
        break;
      case "machines":
        if (!this.node.joined && this.node.settings.host) this.tailnet?.warm(this.node.settings.host);
        this.machines?.update(this.machineList());
        break;
      case "relay":
        this.drawStatus();
        break;
      case "error":
        if (isEnd(event)) this.broke(asPageError(event, event.step));
        else if (!this.node.joined) this.joinFailed(asPageError(event, event.step));
        else notice(event.what);
    }
  }

  private running(): void {
    if (this.node.joined) return;
    this.node.joined = true;
    this.joinSteps.finish();
    performance.mark("dayfly:running");
    const { host, user } = this.node.settings;
    if (host) void this.runs.open(host, user ?? "root");
    else this.showMachines();
  }

  private needsLogin(url: string): void {
    this.screen.show(
      "needs-login",
      loginView(url, this.joinSteps, {
        copy: (text) => void copyText(text, "Select the address and copy it by hand."),
        cancel: () => this.cancelJoin(),
      }),
    );
    announce("Sign in to go on");
  }

  private needsApproval(): void {
    if (this.node.joined)
      return notice("An administrator must approve this machine again: until then it reaches no other.");
    const name = this.tailnet?.self()?.shortName;
    this.screen.show(
      "needs-approval",
      approvalView(name ? plain(name, 63) : "this machine", this.joinSteps, () => this.cancelJoin()),
    );
    announce("Waiting for approval");
  }

  private failed(): void {
    if (this.node.joined || this.joiningFailed) return;
    this.joinFailed({ step: "control", what: "Joining failed.", seen: "", todo: "Try again." });
  }

  private joinFailed(error: PageError): void {
    if (error.step === "engine") return this.broke(error);
    this.joiningFailed = true;
    this.dropNode();
    const { settings } = this.node;
    this.screen.show(
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

  private cancelJoin(): void {
    this.dropNode();
    this.node.abandon();
    this.showForm();
  }

  private dropNode(): void {
    this.shells.forgetAhead();
    this.shells.forgetBegun();
    this.node.drop();
  }

  // Machines and shells

  private machineList(): Machine[] {
    return this.tailnet?.machines() ?? [];
  }

  private showMachines(): void {
    if (!this.tailnet) return;
    this.machines ??= new MachinesView(this.node.settings.user ?? "root", {
      connect: (machine, user) => void this.runs.open(machine.shortName || machine.name, user),
      warm: (machine) => this.tailnet?.warm(machine.name),
      leave: () => void this.leave(),
      shells: () => this.showShells(),
    });
    this.machines.update(this.machineList());
    this.machines.setShells(this.shells.sessions.length > 0);
    this.screen.show("machines", this.machines.element);
    this.machines.focus();
    this.drawStatus();
  }

  private showShells(): void {
    this.screen.showShells();
    this.shellsChanged();
  }

  private shellsChanged(): void {
    const { current } = this.shells;
    this.machines?.setShells(current !== null);
    if (!current) return;
    if (current.state === "connecting" && !current.overlay.firstChild)
      drawConnecting(current, () => this.runs.disconnect(current));
    // What a shell does by itself takes nobody away from the list, where they may be typing.
    if (this.screen.hasView) return;
    const states = { connecting: "connecting", open: "terminal", ended: "ended", failed: "error" } as const;
    this.screen.enter(states[current.state]);
    this.drawStatus();
  }

  /** Show what there still is. */
  private back(): void {
    if (this.shells.sessions.length > 0) this.showShells();
    else if (this.tailnet) this.showMachines();
    else this.showForm();
  }

  private drawStatus(): void {
    if (!this.tailnet) return this.shells.setStatus("not connected", "none");
    const [text, tone] = statusOf(this.node.state, this.node.region);
    this.machines?.setStatus(text, tone);
    this.shells.setStatus(text, tone);
  }

  // The end

  /** The page goes away: say so to the control server as far as it can still be said. */
  pageHidden(): void {
    this.tailnet?.closeNow();
  }

  /** The page came back out of the browser's cache, and its node has been logged out since. */
  pageRestored(): void {
    if (!this.tailnet) return;
    this.node.abandon();
    this.shells.clear();
    this.showLeft(
      "Closed when you left the page",
      nodeLine("gone", `${this.node.label} was logged out when the page was put away.`),
    );
  }

  /**
   * The module is not there, or has stopped: only another one can go on. Nothing is asked of this one, no logout
   * either.
   */
  private broke(error: PageError): void {
    if (this.broken) return;
    this.node.abandon();
    this.broken = true;
    this.shells.forgetAhead();
    for (const session of this.shells.open) this.shells.ended(session, "failed");
    this.screen.show(
      "error",
      errorView(error, [["Control server", this.node.settings.controlUrl]], {
        label: "Reload",
        id: "reload",
        run: () => location.reload(),
        primary: true,
      }),
    );
    announce(error.what);
  }

  private closedByControl(): void {
    if (!this.tailnet) return;
    this.node.abandon();
    for (const session of this.shells.open) this.shells.ended(session, "ended");
    this.showLeft(
      "The tailnet let this page go",
      nodeLine("gone", `${this.node.label} was removed from the tailnet at ${clock()}.`),
    );
  }

  /** Log out, and say what became of the node: in `line`, or in a view of its own. */
  private async leave(line?: HTMLElement): Promise<void> {
    const { label } = this.node;
    const tailnet = this.node.tailnet && this.node.abandon();
    if (!tailnet) return;
    const leaving = nodeLine("leaving", `Removing ${label} from the tailnet …`);
    const target = line ?? h("div", {});
    target.replaceChildren(leaving);
    if (line) {
      const buttons = line.parentElement?.querySelectorAll("[data-action=leave], [data-action=back]") ?? [];
      for (const button of buttons) button.remove();
      for (const session of this.shells.open) if (session.state === "connecting") this.shells.remove(session);
    } else {
      this.shells.clear();
      this.showLeft("You have left the tailnet", target);
    }
    let report: CloseReport;
    try {
      report = await tailnet.close();
    } catch (error) {
      report = { node: label, removed: false, seen: asPageError(error, "control").seen };
    }
    this.drawStatus();
    const said = reportLine(report, label);
    target.replaceChildren(said);
    announce(said.textContent ?? "");
  }

  private showLeft(title: string, node: HTMLElement): void {
    this.screen.show(
      "ended",
      endedView(
        { title, about: [["Control server", this.node.settings.controlUrl]], node },
        { label: "Start again", id: "restart", run: () => this.showForm(), primary: true },
      ),
    );
    announce(title);
  }

  private emit(event: AppEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}
