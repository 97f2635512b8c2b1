/** Making elements, without markup in strings: text is text. */

type Child = Node | string | null | undefined | false;

type Props<T> = {
  class?: string;
  data?: Record<string, string>;
  aria?: Record<string, string>;
  role?: string;
  on?: { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
} & { [K in keyof T]?: unknown };

/** One HTML element with properties, listeners and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { class: className, data, aria, role, on, ...rest } = props as Props<HTMLElement>;
  if (className) element.className = className;
  if (role) element.setAttribute("role", role);
  for (const [name, value] of Object.entries(data ?? {})) element.dataset[name] = value;
  for (const [name, value] of Object.entries(aria ?? {})) element.setAttribute(`aria-${name}`, value);
  for (const [name, listener] of Object.entries(on ?? {})) element.addEventListener(name, listener as EventListener);
  Object.assign(element, rest);
  element.append(
    ...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Tell screen readers. The same text twice is told twice. */
export function announce(text: string): void {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = "";
  requestAnimationFrame(() => (live.textContent = text));
}

/** Wait until the whole page is parsed. */
export function parsed(): Promise<void> {
  if (document.readyState !== "loading") return Promise.resolve();
  return new Promise((resolve) => addEventListener("DOMContentLoaded", () => resolve(), { once: true }));
}

/** Focus the heading of what has just come on screen, so that screen readers begin there. */
export function focusHeading(inside: HTMLElement): void {
  inside.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
}
