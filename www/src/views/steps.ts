/** The steps of joining and of a shell, by the names that people know. */

import type { StepText } from "../../ui/steps.ts";
import type { JoinStep, ShellStep } from "../api.ts";
import type { PageStep } from "../errors.ts";

/** Steps of joining on screen: the page's own first one, and the module's. */
const JOIN_LABELS: Record<"engine" | JoinStep, string> = {
  engine: "Start the engine",
  control: "Reach the control server",
  login: "Be let in",
  netmap: "Learn the network",
  relay: "Reach a relay",
};

/** Steps of opening a shell on screen. Most shells find their relay connected, so that step has no row. */
const SHELL_LABELS: Record<ShellStep, string | null> = {
  relay: null,
  wireguard: "WireGuard handshake",
  tcp: "Connection to port 22",
  ssh: "SSH key exchange",
  "host-key": "Host key",
  auth: "Authentication",
  shell: "Shell",
};

export const JOIN_STEPS = texts(JOIN_LABELS);
export const SHELL_STEPS = texts(SHELL_LABELS);

/** Where something failed, as errors name it. */
export const STEP_NAMES: Record<PageStep, string> = {
  engine: "This page's engine",
  config: "Reading this site's settings",
  control: "Reaching the control server",
  login: "Signing in",
  netmap: "Learning the network",
  relay: "Reaching the relay",
  wireguard: "WireGuard handshake",
  tcp: "Connecting to the SSH server",
  ssh: "SSH key exchange",
  "host-key": "Checking the host key",
  auth: "Authentication",
  policy: "Access policy",
  shell: "Starting the shell",
};

function texts(labels: Record<string, string | null>): readonly StepText[] {
  return Object.entries(labels).flatMap(([id, label]) => (label === null ? [] : [{ id, label }]));
}
