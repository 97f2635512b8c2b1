/** What the chip beside machines and terminals says of the node's connection. */

import { plain } from "../ui/text.ts";
import type { TailnetState } from "./api.ts";

export type Tone = "good" | "wait" | "bad" | "none";

/** The words for a node in this state, whose newest relay is in `region`. */
export function statusOf(state: TailnetState | null, region: string): [text: string, tone: Exclude<Tone, "none">] {
  switch (state) {
    case "needs-approval":
      return ["Waiting for approval", "wait"];
    case "reconnecting":
    case "connecting":
      return ["Reconnecting", "wait"];
    case "failed":
      return ["Control server lost", "bad"];
    default:
      return [region ? plain(region, 24) : "connected", "good"];
  }
}
