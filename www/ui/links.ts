/** Web addresses that come from elsewhere. */

import { h } from "./dom.ts";

/** Open a URL in a tab of its own that knows nothing of this one. Only web addresses. */
export function openLink(url: string): boolean {
  if (!isWebUrl(url)) return false;
  window.open(url, "_blank", "noopener,noreferrer");
  return true;
}

/** Whether a URL leads to a web page, as against a script, a file or a program. */
export function isWebUrl(url: string): boolean {
  try {
    const { protocol } = new URL(url);
    return protocol === "https:" || protocol === "http:";
  } catch {
    return false;
  }
}

/** Parts of a text: web addresses in it become links, for banners and messages. */
export function linked(text: string): (Node | string)[] {
  return text.split(/(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}])/g).map((part, index) => {
    if (index % 2 === 0 || !isWebUrl(part)) return part;
    return h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part);
  });
}
