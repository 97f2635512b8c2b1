/** On the way in. */

import { actions } from "../../ui/card.ts";
import { h } from "../../ui/dom.ts";
import { icon } from "../../ui/icons.ts";
import { isWebUrl } from "../../ui/links.ts";
import type { StepList } from "../../ui/steps.ts";
import { card } from "./card.ts";
export function joiningView(controlUrl: string, steps: StepList, cancel: () => void): HTMLElement {
  return card(
    { title: "Joining", lead: new URL(controlUrl).host },
    steps.element,
    actions({ label: "Cancel", id: "cancel", run: cancel }),
  );
}

/** An administrator of the tailnet has to approve the node. */
export function approvalView(node: string, steps: StepList, cancel: () => void): HTMLElement {
  return card(
    {
      title: "Waiting for approval",
      lead: `An administrator of this tailnet must approve ${node} before it sees other machines: with Tailscale, on the Machines page of the admin console. This page goes on by itself.`,
    },
    steps.element,
    actions({ label: "Cancel", id: "cancel", run: cancel }),
  );
}

/** The control server wants a person to sign in somewhere. */
export function loginView(
  url: string,
  steps: StepList,
  hooks: { copy: (text: string) => void; cancel: () => void },
): HTMLElement {
  // The control server chose this address: it is shown before it is opened, and only web addresses can be.
  const safe = isWebUrl(url);
  return card(
    { title: "Sign in to go on", lead: "Open this page, say who you are, and come back. This one goes on by itself." },
    h(
      "div",
      { class: "login" },
      h("code", { class: "address", data: { authUrl: safe ? url : "" } }, url),
      safe
        ? h(
            "a",
            {
              class: "button primary",
              href: url,
              target: "_blank",
              rel: "noopener noreferrer",
              data: { action: "sign-in" },
            },
            "Open the sign-in page",
            icon("link"),
          )
        : null,
      h(
        "button",
        { type: "button", class: "button", data: { action: "copy-url" }, on: { click: () => hooks.copy(url) } },
        icon("copy"),
        "Copy the address",
      ),
    ),
    steps.element,
    actions({ label: "Cancel", id: "cancel", run: hooks.cancel }),
  );
}
