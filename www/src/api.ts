/**
 * Dayfly's JavaScript API: one tailnet node in a page, and shells over it.
 *
 * The WebAssembly module implements these types. This file only describes them: it imports no code, so that it can be
 * taken along wherever the module is. `engine.ts` loads the module; the client's page is the API's first user, and
 * `../examples/embed` a small one.
 *
 * ```ts
 * const { connect } = await engine();
 * const tailnet = connect({ controlUrl: "https://control.example.com", authKey: "..." }, console.log);
 * // after { type: "state", state: "running" }:
 * const shell = await tailnet.ssh({ host: "web-1", user: "root", cols: 80, rows: 24, prompts, onEvent() {} });
 * shell.attach(terminal);
 * const { status } = await shell.exit;
 * await tailnet.close();
 * ```
 */

import type { JoinStep, RelayState, ShellStep, Step, TailnetState } from "./names.ts";

export type { JoinStep, RelayState, ShellStep, Step, TailnetState };

/** What the module exports. */
export interface Engine {
  /** Make a node in memory and join. Returns at once; what happens then is reported to `onEvent`. */
  connect(options: ConnectOptions, onEvent: (event: TailnetEvent) => void): Tailnet;
}

export interface ConnectOptions {
  /** Base URL of the control server: `https://host[:port]`. */
  controlUrl: string;
  /** Pre-authentication key. Without one the control server asks for a login (`auth-url`). */
  authKey?: string;
  /** The name that this node asks for. */
  hostname?: string;
  /** The control server's machine key, `mkey:` and 64 hex digits. Pins it, and saves fetching it. */
  controlKey?: string;
  /** Another way to a relay: region id, or `*` for every region, to the `wss:` URL of a gateway. */
  relays?: Record<string, string>;
}

/** One node in a tailnet. */
export interface Tailnet {
  /** The machines that this node may see, as of the last `machines` event. */
  machines(): Machine[];
  /** This node, once the control server has named it. */
  self(): Machine | undefined;
  /** Open a shell. Resolves when the remote side has started it; rejects with a `DayflyError`. */
  ssh(options: SshOptions): Promise<Shell>;
  /** Start WireGuard and the relay towards a host ahead of `ssh`, for instance when a pointer rests on its row. */
  warm(host: string): void;
  /** Close all shells, log the node out of the control server, wipe its keys. */
  close(): Promise<CloseReport>;
  /** `close` as far as it goes without waiting, for `pagehide`. */
  closeNow(): void;
}

/** What happens to a node. */
export type TailnetEvent =
  /** `step` is what begins now. */
  | { type: "state"; state: TailnetState; step?: JoinStep }
  /** A person has to open this URL to let the node in. */
  | { type: "auth-url"; url: string }
  /** `machines()` has changed. */
  | { type: "machines" }
  /** The connection to the relay of a region, by the region's code. */
  | { type: "relay"; region: string; state: RelayState }
  | ({ type: "error" } & DayflyError);

/** What failed, what was seen there, and what to do. Thrown, rejected with, and reported by events. */
export interface DayflyError {
  step: Step;
  /** What failed, in one sentence. */
  what: string;
  /** What was seen there, as it was seen. */
  seen: string;
  /** What to do. */
  todo: string;
}

export interface Machine {
  /** Full name in MagicDNS, without the trailing dot. */
  name: string;
  /** Its first label. */
  shortName: string;
  addresses: string[];
  os: string;
  /** Unknown (`null`) where the control server does not say. */
  online: boolean | null | undefined;
  /** It runs Tailscale SSH: it publishes host keys. Others may still have an SSH server on port 22. */
  ssh: boolean;
  /** Login name of its owner; empty for tagged machines. */
  user: string;
  tags: string[];
  expired: boolean;
}

export interface SshOptions {
  /** Short name, full name or address. */
  host: string;
  /** User there. */
  user: string;
  cols: number;
  rows: number;
  /** Terminal type, `xterm-256color` if there is none. */
  term?: string;
  prompts: Prompts;
  onEvent: (event: ShellEvent) => void;
  /**
   * Gives up: what is under way ends, and `ssh` rejects with an error of the step `ssh`. Means nothing once the shell
   * is there.
   */
  signal?: AbortSignal;
}

export type ShellEvent =
  /** What begins now. */
  | { type: "step"; step: ShellStep }
  /** Something failed, and the shell goes on: input was dropped, since too much waited to be sent. */
  | ({ type: "error" } & DayflyError);

/** What the SSH client asks a person. Each answer may take as long as it takes. */
export interface Prompts {
  /** Text from the server before authentication; Tailscale's check mode sends a URL here. */
  banner(text: string): void;
  /** A host key that nobody vouches for. */
  hostKey(key: HostKey): Promise<boolean>;
  password(prompt: string): Promise<string | null>;
  keyboardInteractive(name: string, instructions: string, prompts: InteractivePrompt[]): Promise<string[] | null>;
  privateKey(): Promise<PrivateKey | null>;
}

export interface HostKey {
  algorithm: string;
  /** `SHA256:` and base64, as OpenSSH prints it. */
  fingerprint: string;
  host: string;
}

export interface InteractivePrompt {
  prompt: string;
  /** Show what is typed. */
  echo: boolean;
}

export interface PrivateKey {
  /** OpenSSH or PEM text. */
  pem: string;
  passphrase?: string;
}

/** A running shell. */
export interface Shell {
  /** Send input. Text goes as UTF-8. What the machine is too far behind for is dropped as a whole, and
   * reported to `onEvent`. */
  write(data: Uint8Array | string): void;
  resize(cols: number, rows: number): void;
  /** Connect a terminal both ways, with back-pressure by its write callback. */
  attach(terminal: TerminalPort): void;
  close(): void;
  /** How it ended. Does not reject. */
  readonly exit: Promise<Exit>;
}

export interface Exit {
  status?: number;
  signal?: string;
  /** The connection ended before the shell did. */
  error?: DayflyError;
}

/** What `attach` needs of a terminal. xterm.js' `Terminal` is one; the page passes a filter around it. */
export interface TerminalPort {
  readonly cols: number;
  readonly rows: number;
  /** Takes the bytes over; `done` is called when they have been parsed, and is what back-pressure hangs on. */
  write(data: Uint8Array, done: () => void): void;
  onData(listener: (text: string) => void): Disposable;
  onBinary(listener: (latin1: string) => void): Disposable;
  onResize(listener: (size: { cols: number; rows: number }) => void): Disposable;
}

export interface Disposable {
  dispose(): void;
}

export interface CloseReport {
  /** Name that the node had. */
  node: string;
  /** The control server has confirmed that the node is removed. */
  removed: boolean;
  /** What was seen, where it has not. */
  seen?: string;
}
