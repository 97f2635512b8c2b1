/** The page's node: one attempt at joining after another, each of which abandons the one before. */

import { plain } from "../ui/text.ts";
import type { Tailnet, TailnetEvent, TailnetState } from "./api.ts";
import { type Settings, withSite } from "./config.ts";
import { engine } from "./engine.ts";
import { asPageError, type PageError, type PageStep } from "./errors.ts";

export interface NodeHooks {
  /** The module and this site's settings are there, and joining begins. */
  begun(): void;
  event(event: TailnetEvent): void;
  /** It could not even begin. */
  failed(error: PageError): void;
}

export class PageNode {
  tailnet: Tailnet | null = null;
  /** What the newest attempt was made with. */
  settings: Settings = {};
  /** It has been `running` once. */
  joined = false;
  state: TailnetState | null = null;
  /** The region of the relay that was connected last. */
  region = "";
  /** Counts attempts, so that what an abandoned one still reports is not heard. */
  attempt = 0;
  private name = "";
  private readonly site: () => Promise<Settings>;
  private readonly hooks: NodeHooks;

  constructor(site: () => Promise<Settings>, hooks: NodeHooks) {
    this.site = site;
    this.hooks = hooks;
  }

  /** What the node is called in sentences. */
  get label(): string {
    return this.name ? `The node ${plain(this.name, 63)}` : "This page's node";
  }

  /** Join with these settings. */
  async join(settings: Settings & { controlUrl: string }): Promise<void> {
    const attempt = this.attempt;
    this.settings = settings;
    this.joined = false;
    this.region = "";
    let step: PageStep = "engine";
    try {
      const { connect } = await engine();
      // A form may be sent off before this site's settings are there.
      step = "config";
      const filled = { ...settings, ...withSite(settings, await this.site(), location.origin) };
      if (attempt !== this.attempt) return;
      step = "control";
      this.settings = filled;
      this.hooks.begun();
      const { host: _host, user: _user, ...options } = filled;
      this.tailnet = connect(options, (event) => {
        // Events may come while `connect` has not returned yet. That the module has stopped concerns whatever is at
        // hand.
        const concerns = () => attempt === this.attempt || isEnd(event);
        if (concerns()) queueMicrotask(() => concerns() && this.heard(event));
      });
    } catch (error) {
      if (attempt === this.attempt) this.hooks.failed(asPageError(error, step));
    }
  }

  /** Hear no more of the current attempt. What is handed back is to be closed, or is closed already. */
  abandon(): Tailnet | null {
    const { tailnet } = this;
    this.attempt += 1;
    this.tailnet = null;
    return tailnet;
  }

  /** Close what there is, if anything. What becomes of it is of no interest any more. */
  drop(): void {
    const { tailnet } = this;
    this.tailnet = null;
    void tailnet?.close().catch(() => {});
  }

  private heard(event: TailnetEvent): void {
    if (event.type === "state") this.state = event.state;
    if (event.type === "state" && event.state === "running") {
      this.name = this.tailnet?.self()?.shortName ?? this.settings.hostname ?? "";
    }
    if (event.type === "relay" && event.state === "connected") this.region = event.region;
    this.hooks.event(event);
  }
}

/** Whether an event reports the end of the module itself. */
export function isEnd(event: TailnetEvent): boolean {
  return event.type === "error" && event.step === "engine";
}
