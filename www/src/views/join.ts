/** The form that everything starts with. */

import { actions, facts } from "../../ui/card.ts";
import { h } from "../../ui/dom.ts";
import { icon } from "../../ui/icons.ts";
import { plain } from "../../ui/text.ts";
import { type Known, normalizeControlUrl, type Settings } from "../config.ts";
import { card } from "./card.ts";
/** Ask for a control server, a key, and what else a person wants to set. */
export function joinView(known: Settings, submit: (settings: Settings) => void): HTMLElement {
  const control = input("control", {
    value: known.controlUrl ?? "",
    placeholder: "https://control.example.com",
    inputMode: "url",
    autocomplete: "url",
    required: true,
  });
  const key = input("authkey", {
    value: known.authKey ?? "",
    type: "password",
    autocomplete: "off",
    placeholder: "Leave empty to sign in",
  });
  const host = input("host", { value: known.host ?? "", placeholder: "Choose from the list" });
  const user = input("user", { value: known.user ?? "", placeholder: "root", autocomplete: "username" });
  const hostname = input("hostname", { value: known.hostname ?? "", placeholder: "Chosen for you" });
  const problem = h("p", { class: "problem", id: "join-problem", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: "button primary wide", data: { action: "join" } });
  const label = () => (button.textContent = key.value.trim() ? "Join" : "Sign in");
  key.addEventListener("input", label);
  label();

  const more = h(
    "details",
    { class: "more" },
    h("summary", {}, "Go straight to a machine"),
    h("div", { class: "pair" }, field("Machine", host), field("Log in as", user)),
    field("This page's name in the tailnet", hostname),
  );
  more.open = Boolean(known.host || known.user || known.hostname);

  const form = h(
    "form",
    {
      class: "form",
      noValidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          const controlUrl = normalizeControlUrl(control.value);
          problem.hidden = controlUrl !== null;
          control.setAttribute("aria-invalid", String(controlUrl === null));
          if (controlUrl === null) {
            problem.textContent = control.value.trim()
              ? "This is not the address of a control server: https:// and a name."
              : "The address of your control server is missing.";
            control.focus();
            return;
          }
          const settings: Settings = { ...known, controlUrl };
          set(settings, "authKey", key.value);
          set(settings, "host", host.value);
          set(settings, "user", user.value);
          set(settings, "hostname", hostname.value);
          // Another server's pinned key and gateways say nothing about this one.
          if (controlUrl !== known.controlUrl) {
            delete settings.controlKey;
            delete settings.relays;
          }
          submit(settings);
        },
      },
    },
    field("Control server", control, problem),
    field("Auth key", secret(key)),
    more,
    button,
  );
  control.setAttribute("aria-describedby", problem.id);
  return card(
    { title: "A shell on your machine", lead: "This page becomes a node of your tailnet for as long as it is open." },
    form,
  );
}

/** Why a link waits for a click. */
const CONFIRM_LEADS: Record<NonNullable<Known["confirm"]>, string> = {
  server: "The link that you followed names a control server of its own. Go on if you know it.",
  key: "The link that you followed says that the control server has another key than this site says. Go on only if you know that it has changed.",
  link: "The link that you followed says who you join as, or where you go. Go on if you trust whoever gave it to you.",
};

/** The beginning of a key, by which its owner knows it and with which nobody else can do anything. */
function keyHint(key: string): string {
  return `${plain(key.slice(0, Math.min(12, Math.floor(key.length / 3))))}…`;
}

/** Shows what a link asks for, and waits for a click. */
export function confirmView(known: Known, go: () => void, edit: () => void): HTMLElement {
  const { controlUrl, controlKey, authKey, host, user, hostname } = known.settings;
  const shell = host ? `a shell on ${plain(host, 253)} as ${plain(user ?? "root", 63)}` : "the list of machines";
  const signIn = authKey
    ? `with ${known.linkKey ? "the link's" : "this site's"} key ${keyHint(authKey)}`
    : "in another tab";
  return card(
    {
      title: "Join this tailnet?",
      lead: known.confirm ? CONFIRM_LEADS[known.confirm] : "",
    },
    facts(
      ["Control server", h("code", {}, controlUrl ?? "")],
      ["Its key", controlKey ? h("code", {}, plain(controlKey)) : undefined],
      ["Sign in", signIn],
      ["Then open", shell],
      ["This page's name", hostname ? plain(hostname, 63) : undefined],
    ),
    actions({ label: "Join", id: "confirm", run: go, primary: true }, { label: "Change", id: "edit", run: edit }),
  );
}

function set(settings: Settings, key: "authKey" | "host" | "user" | "hostname", value: string): void {
  const trimmed = value.trim();
  if (trimmed) settings[key] = trimmed;
  else delete settings[key];
}

function input(name: string, props: Record<string, unknown>): HTMLInputElement {
  return h("input", {
    id: `field-${name}`,
    name,
    type: "text",
    spellcheck: false,
    autocapitalize: "off",
    autocomplete: "off",
    ...props,
  });
}

function field(label: string, control: HTMLElement, problem?: HTMLElement): HTMLElement {
  const target = control instanceof HTMLInputElement ? control : control.querySelector("input");
  return h("div", { class: "field" }, h("label", { htmlFor: target?.id ?? "" }, label), control, problem);
}

/** An input whose text can be shown. */
function secret(control: HTMLInputElement): HTMLElement {
  const reveal = h(
    "button",
    {
      type: "button",
      class: "reveal",
      aria: { label: "Show the key", pressed: "false" },
      on: {
        click: () => {
          const shown = control.type === "text";
          control.type = shown ? "password" : "text";
          reveal.setAttribute("aria-pressed", String(!shown));
        },
      },
    },
    icon("eye"),
  );
  return h("div", { class: "secret" }, control, reveal);
}
