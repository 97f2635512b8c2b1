/** The terminal's colours by the page's scheme. Each has a contrast of 4.5 or more on its background, `black` aside. */

import type { ITheme } from "@xterm/xterm";

const dark: ITheme = {
  background: "#0e1316",
  foreground: "#d7dee0",
  cursor: "#6fd3c1",
  cursorAccent: "#0e1316",
  selectionBackground: "#2a5a5680",
  selectionInactiveBackground: "#2a3a3c80",
  black: "#20282c",
  red: "#ef7c74",
  green: "#8bc98a",
  yellow: "#e0b867",
  blue: "#7fb2ea",
  magenta: "#cf9be0",
  cyan: "#6fd3c1",
  white: "#c9d2d4",
  brightBlack: "#7c8a8f",
  brightRed: "#ff9d94",
  brightGreen: "#aee0a7",
  brightYellow: "#f2d08a",
  brightBlue: "#a5ccf6",
  brightMagenta: "#e2bdee",
  brightCyan: "#98e7d8",
  brightWhite: "#f4f8f8",
  scrollbarSliderBackground: "#ffffff1f",
  scrollbarSliderHoverBackground: "#ffffff38",
  scrollbarSliderActiveBackground: "#ffffff4d",
};

const light: ITheme = {
  background: "#fdfcfa",
  foreground: "#22292c",
  cursor: "#0f6b62",
  cursorAccent: "#fdfcfa",
  selectionBackground: "#0f6b6230",
  selectionInactiveBackground: "#22292c1c",
  black: "#22292c",
  red: "#b3261e",
  green: "#2d6f2f",
  yellow: "#80590a",
  blue: "#1d5fa8",
  magenta: "#84379d",
  cyan: "#0f6b62",
  white: "#59666b",
  brightBlack: "#6b767a",
  brightRed: "#c33a30",
  brightGreen: "#3a7a35",
  brightYellow: "#8d6312",
  brightBlue: "#2b6cb8",
  brightMagenta: "#9548ad",
  brightCyan: "#187a70",
  brightWhite: "#3b4549",
  scrollbarSliderBackground: "#0000001f",
  scrollbarSliderHoverBackground: "#00000038",
  scrollbarSliderActiveBackground: "#0000004d",
};

export const prefersDark = matchMedia("(prefers-color-scheme: dark)");

export function currentTheme(): ITheme {
  return prefersDark.matches ? dark : light;
}
