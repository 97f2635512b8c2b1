/** The client's card: all of its states but machines and terminals. */

import { type CardText, card as plainCard } from "../../ui/card.ts";

const FOOT = "The keys of this page are made in its memory, and are gone when it closes.";

export function card(text: CardText, ...parts: Parameters<typeof plainCard>[1][]): HTMLElement {
  return plainCard({ foot: FOOT, ...text }, ...parts);
}
