/** Names of steps and states, written from src/names.rs: `DAYFLY_WRITE=1 cargo test -p dayfly-web names`. */

/** Steps of the way into a tailnet, in their order. */
export type JoinStep =
  | "control"
  | "login"
  | "netmap"
  | "relay";

/** Steps of the way to a shell, in their order. */
export type ShellStep =
  | "relay"
  | "wireguard"
  | "tcp"
  | "ssh"
  | "host-key"
  | "auth"
  | "shell";

/** Steps that are on neither way, and that errors name all the same. */
export type OtherStep =
  | "engine"
  | "policy";

/** Every step that an error of the module names. */
export type Step = JoinStep | ShellStep | OtherStep;

/** States of a node. `needs-approval`: an administrator has to approve it, and it goes on by itself then. */
export type TailnetState =
  | "connecting"
  | "needs-login"
  | "needs-approval"
  | "running"
  | "reconnecting"
  | "failed"
  | "closed";

/** States of the connection to a relay. */
export type RelayState =
  | "connecting"
  | "connected"
  | "failed"
  | "restarting"
  | "closed";
