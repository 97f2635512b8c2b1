/**
 * The engine without a network: for developing the page and testing it by itself. Never shipped.
 *
 * What happens is chosen by names, so that a test can bring about every state: see `SCENES` and the commands of
 * `Shell`.
 */

import type {
  ConnectOptions,
  DayflyError,
  Engine,
  Exit,
  Machine,
  Shell,
  SshOptions,
  Tailnet,
  TailnetEvent,
  TerminalPort,
} from "../../src/api.ts";
import { floodChunk } from "./flood.ts";

/** A network is never there at once: what it does shows in the next frame at the earliest. */
const turn = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));
/** What the page's address asks of the mock: `hold=STEP` stays in a step of joining, `approval` wants an approval. */
const wanted = new URLSearchParams(location.search);

const machine = (name: string, more: Partial<Machine> = {}): Machine => ({
  name: `${name}.meadow.example.com`,
  shortName: name,
  addresses: ["100.64.0.7", "fd7a:115c:a1e0::7"],
  os: "linux",
  online: true,
  ssh: true,
  user: "ada@example.com",
  tags: [],
  expired: false,
  ...more,
});

const MACHINES: Machine[] = [
  machine("web-1", { tags: ["tag:web", "tag:prod"], user: "", addresses: ["100.64.0.11"] }),
  machine("web-2", { tags: ["tag:web"], user: "", addresses: ["100.64.0.12"] }),
  machine("postgres", { tags: ["tag:db"], user: "", addresses: ["100.64.0.21"] }),
  machine("build-farm-eu-central-with-a-long-name", { addresses: ["100.64.0.40"], os: "freebsd" }),
  machine("ada-laptop", { os: "macOS", ssh: false, addresses: ["100.64.0.3"] }),
  machine("workshop", {
    os: "windows",
    ssh: false,
    online: null,
    addresses: ["100.64.0.5"],
    user: "grace@example.com",
  }),
  machine("backup", { online: false, addresses: ["100.64.0.30"], tags: ["tag:db"], user: "" }),
  machine("old-pi", { expired: true, online: true, addresses: ["100.64.0.31"] }),
];

/** What fails, by the first label of the control server's or the machine's name. */
const SCENES: Record<string, DayflyError> = {
  down: {
    step: "control",
    what: "The control server does not answer.",
    seen: "WebSocket to wss://down.example.com/ts2021 closed with 1006",
    todo: "Check the address. If the server allows no WebSocket, set a gateway in config.json.",
  },
  badkey: {
    step: "login",
    what: "The control server refused the auth key.",
    seen: "invalid pre auth key",
    todo: "Make a new key: one-off keys are used up by their first use, and all keys expire.",
  },
  closed: {
    step: "tcp",
    what: "The machine refuses connections on port 22.",
    seen: "RST from 100.64.0.7:22",
    todo: "Start its SSH server, or turn on Tailscale SSH there: tailscale set --ssh",
  },
  forged: {
    step: "host-key",
    what: "This is not the machine that it claims to be.",
    seen: "published SHA256:2hZ6… received SHA256:9qLr…",
    todo: "Do not log in. Somebody may be between you and the machine, or it was set up anew.",
  },
};

const sceneOf = (name: string) => SCENES[name.split(".")[0] ?? ""];

/** For tests: what was asked for, what happens elsewhere when they say so, and what shells were sent. */
const mock = {
  /** The options of the last node. */
  options: null as ConnectOptions | null,
  tell: (_: TailnetEvent): unknown => undefined,
  /** A panic of the module, as it tells it. */
  panic: () => {},
  /** The shells that were opened, oldest first. */
  shells: [] as MockShell[],
  /** Hosts whose connecting was given up. */
  aborted: [] as string[],
  /** The step that `hold` names is done. */
  goOn: () => {},
  /** The person signs in. */
  signIn: () => {},
  /** An administrator approves the node. */
  approve: () => {},
  /** The server of the last connection that was begun goes away. */
  hangUp: () => {},
  /** The check that "postgres" asks for is passed. */
  pass: () => {},
  typed: "",
  sizes: [] as string[],
};
(window as unknown as { mock: unknown }).mock = mock;

class MockTailnet implements Tailnet {
  private open = true;
  private readonly onEvent: (event: TailnetEvent) => void;

  constructor(options: ConnectOptions, onEvent: (event: TailnetEvent) => void) {
    this.onEvent = onEvent;
    mock.options = options;
    mock.panic = () => {
      onEvent({
        type: "error",
        step: "engine",
        what: "Dayfly itself has failed.",
        seen: "panicked at the mock",
        todo: "Reload the page.",
      });
      onEvent({ type: "state", state: "failed" });
    };
    void this.run(options);
  }

  private async run(options: ConnectOptions): Promise<void> {
    const tell = (event: TailnetEvent) => this.open && this.onEvent(event);
    const scene = sceneOf(new URL(options.controlUrl).hostname);
    for (const step of ["control", "login", "netmap", "relay"] as const) {
      tell({ type: "state", state: "connecting", step });
      await turn();
      if (step === wanted.get("hold")) await new Promise<void>((resolve) => (mock.goOn = resolve));
      if (step === scene?.step) {
        tell({ type: "error", ...scene });
        tell({ type: "state", state: "failed" });
        return;
      }
      if (step === "login" && !options.authKey) {
        tell({ type: "state", state: "needs-login", step });
        tell({ type: "auth-url", url: `${options.controlUrl}/register/nodekey-4f1d9a0c7be2` });
        await new Promise<void>((resolve) => (mock.signIn = resolve));
        tell({ type: "state", state: "connecting", step: "netmap" });
      }
      if (step === "netmap" && wanted.has("approval")) {
        tell({ type: "state", state: "needs-approval" });
        await new Promise<void>((resolve) => (mock.approve = resolve));
      }
    }
    tell({ type: "relay", region: "fra", state: "connected" });
    tell({ type: "state", state: "running" });
    tell({ type: "machines" });
    mock.tell = tell;
  }

  machines(): Machine[] {
    return MACHINES;
  }

  self(): Machine {
    return machine("dayfly-7f3a", { os: "js", ssh: false });
  }

  warm(): void {}

  ssh(options: SshOptions): Promise<Shell> {
    return new Promise((resolve, reject) => {
      const failed = (what: string): DayflyError => ({ step: "ssh", what, seen: "", todo: "Try again." });
      options.signal?.addEventListener("abort", () => {
        mock.aborted.push(options.host);
        reject(failed("The connection was given up."));
      });
      mock.hangUp = () => reject(failed("The machine has hung up."));
      this.steps(options).then(resolve, reject);
    });
  }

  private async steps(options: SshOptions): Promise<Shell> {
    const scene = sceneOf(options.host) ?? (options.host === "ada-laptop" ? SCENES.closed : undefined);
    for (const step of ["wireguard", "tcp", "ssh", "host-key", "auth", "shell"] as const) {
      options.onEvent({ type: "step", step });
      await turn();
      if (scene?.step === step) throw scene;
      if (step === "host-key" && options.host === "workshop") {
        const yes = await options.prompts.hostKey({
          algorithm: "ssh-ed25519",
          fingerprint: "SHA256:Zk2nMi0Jr4tXr1o6mV0cQyqM2mQ3o8sV0F3Qd1y8c7A",
          host: options.host,
        });
        if (!yes)
          throw {
            step,
            what: "You refused the host key.",
            seen: "ssh-ed25519 SHA256:Zk2nMi0Jr4tX…",
            todo: "Compare it with the machine's own, and try again.",
          } satisfies DayflyError;
      }
      if (step === "auth" && options.host === "workshop") {
        const answers = await options.prompts.keyboardInteractive("Verification", "Say who you are.", [
          { prompt: "Password:", echo: false },
          { prompt: MENU, echo: true },
        ]);
        if (!answers)
          throw {
            step,
            what: "You did not answer.",
            seen: "keyboard-interactive cancelled",
            todo: "Try again.",
          } satisfies DayflyError;
      }
      if (step === "auth" && options.host === "postgres") {
        options.prompts.banner(
          "# Tailscale SSH requires an additional check.\n# To authenticate, visit: https://login.example.com/a/1d2e3f4a5b6c\n",
        );
        await new Promise<void>((resolve) => (mock.pass = resolve));
      }
    }
    return new MockShell(options);
  }

  async close() {
    await turn();
    this.open = false;
    return { node: "dayfly-7f3a", removed: true };
  }

  closeNow(): void {
    this.open = false;
    document.documentElement.dataset.closed = "now";
  }
}

/** A question as Duo asks it. */
const MENU = `Duo two-factor login

 1. Duo Push to +XX XX XXXX 1234
 2. Phone call to +XX XX XXXX 1234
 3. SMS passcodes to +XX XX XXXX 1234
 4. Another device: https://duo.example.com/devices/enroll?account=workshop

Passcode or option (1-4), or what the app on your new device shows you, without spaces:`;

/** The most that may be on its way to the terminal. */
const HIGH_WATER = 128 * 1024;

class MockShell implements Shell {
  readonly exit: Promise<Exit>;
  finish: (exit: Exit) => void = () => {};
  terminal: TerminalPort | null = null;
  private line = "";
  private pending = 0;
  private stop = false;
  private resume: (() => void) | null = null;
  private readonly options: SshOptions;

  constructor(options: SshOptions) {
    this.options = options;
    this.exit = new Promise((resolve) => (this.finish = resolve));
    mock.shells.push(this);
  }

  attach(terminal: TerminalPort): void {
    this.terminal = terminal;
    terminal.onData((text) => this.write(text));
    terminal.onResize(({ cols, rows }) => mock.sizes.push(`${cols}x${rows}`));
    void this.print(
      `Linux ${this.options.host} 6.12.48 x86_64\r\n\r\nLast login: Tue Nov 24 09:41:12 from 100.64.0.3\r\n`,
    ).then(() => this.prompt());
  }

  write(data: Uint8Array | string): void {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    mock.typed += text;
    for (const char of text) {
      if (char === "\r") {
        const line = this.line;
        this.line = "";
        void this.print("\r\n")
          .then(() => this.run(line.trim()))
          .then(() => this.prompt());
      } else if (char === "\x03") {
        this.stop = true;
        this.line = "";
        void this.print("^C\r\n").then(() => this.prompt());
      } else if (char === "\x7f") {
        if (this.line) void this.print("\b \b");
        this.line = this.line.slice(0, -1);
      } else if (char >= " ") {
        this.line += char;
        void this.print(char);
      } else {
        void this.print(`^${String.fromCharCode(char.charCodeAt(0) + 64)}`);
      }
    }
  }

  resize(): void {}

  close(): void {
    this.finish({ signal: "HUP" });
  }

  private prompt(): Promise<void> {
    return this.print(`\x1b[1;32m${this.options.user}@${this.options.host}\x1b[0m:\x1b[1;34m~\x1b[0m# `);
  }

  private async run(line: string): Promise<void> {
    const [name = "", argument = ""] = line.split(" ");
    this.stop = false;
    if (name === "exit") this.finish({ status: Number(argument || 0) });
    else if (name === "lost")
      this.finish({
        error: {
          step: "tcp",
          what: "The connection to the machine was lost.",
          seen: "no answer for 60 s",
          todo: "Connect again.",
        },
      });
    else if (name === "behind")
      this.options.onEvent({
        type: "error",
        step: "shell",
        what: `${this.options.host} is behind.`,
        seen: "",
        todo: "",
      });
    else if (name === "flood") await this.flood(Number(argument) * 1024 * 1024);
    else if (name === "raw") await this.print(JSON.parse(`"${line.slice(4)}"`) as string);
    else if (name === "hex")
      for (const piece of line.split(" ").slice(1))
        await this.send(Uint8Array.from(piece.match(/../g) ?? [], (byte) => parseInt(byte, 16)));
    else if (name === "show") await this.print(SHOW);
    else if (name) await this.print(`${line}: command not found\r\n`);
  }

  private async flood(bytes: number): Promise<void> {
    const chunk = floodChunk();
    for (let sent = 0; sent < bytes && !this.stop; sent += chunk.length) await this.send(chunk.slice());
  }

  private print(text: string): Promise<void> {
    return this.send(new TextEncoder().encode(text));
  }

  private async send(bytes: Uint8Array): Promise<void> {
    while (this.pending > HIGH_WATER) await new Promise<void>((resolve) => (this.resume = resolve));
    this.pending += bytes.length;
    this.terminal?.write(bytes, () => {
      this.pending -= bytes.length;
      if (this.pending <= HIGH_WATER / 2) {
        this.resume?.();
        this.resume = null;
      }
    });
  }
}

const SHOW = [
  "total 48",
  "drwxr-xr-x  9 root root 4096 Nov 24 08:12 \x1b[1;34mapp\x1b[0m",
  "-rwxr-xr-x  1 root root 2121 Nov 24 08:12 \x1b[1;32mdeploy\x1b[0m",
  "lrwxrwxrwx  1 root root   11 Nov 24 08:12 \x1b[1;36mcurrent\x1b[0m -> app/release",
  "\x1b[33mwarning\x1b[0m: certificate expires in 12 days, see https://example.com/docs/renew",
  "\x1b[31merror\x1b[0m: \x1b[1munit nginx.service failed\x1b[0m",
  "日本語 ✓ emoji 👩‍🚀 🦋 ünïcödé  \x1b[38;2;255;140;90mRGB\x1b[0m \x1b[4munderline\x1b[0m \x1b[7minverse\x1b[0m",
  "┌──────────┬────────┐\r\n│ requests │ 18 420 │\r\n└──────────┴────────┘",
  "\x1b]8;;https://example.com/real\x1b\\a link with text\x1b]8;;\x1b\\",
  "",
].join("\r\n");

// What the page imports as the module's glue.
export const connect: Engine["connect"] = (options, onEvent) => new MockTailnet(options, onEvent);
export default async function init(): Promise<void> {}
