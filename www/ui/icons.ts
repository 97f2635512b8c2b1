/** Line drawings, and the product's mark. */

const SVG = "http://www.w3.org/2000/svg";

/** A 20 by 20 line drawing; the current text colour, hidden from screen readers. */
export function icon(name: keyof typeof PATHS): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const PATHS = {
  search: ["M8.75 14a5.25 5.25 0 1 0 0-10.5 5.25 5.25 0 0 0 0 10.5Z", "m12.7 12.7 4 4"],
  copy: [
    "M7.5 7.5v-3a1 1 0 0 1 1-1h7a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-3",
    "M4.5 7.5h7a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1Z",
  ],
  paste: [
    "M7 4.5H5.5a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h9a1 1 0 0 0 1-1v-10a1 1 0 0 0-1-1H13",
    "M8 3h4a1 1 0 0 1 1 1v1a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Z",
  ],
  smaller: ["M4 15 8 5l4 10M5.4 11.5h5.2", "M14 10h4"],
  larger: ["M4 15 8 5l4 10M5.4 11.5h5.2", "M14 10h4M16 8v4"],
  close: ["m5.5 5.5 9 9M14.5 5.5l-9 9"],
  plus: ["M10 4.5v11M4.5 10h11"],
  power: ["M10 3.5v6", "M6 5.8a5.8 5.8 0 1 0 8 0"],
  check: ["m4.5 10.5 3.7 3.7 7.3-8"],
  cross: ["m6 6 8 8M14 6l-8 8"],
  arrow: ["M4.5 10h11M11 5.5 15.5 10 11 14.5"],
  back: ["M15.5 10h-11M9 5.5 4.5 10 9 14.5"],
  link: ["M8.5 11.5 15 5M11 4.5h4.5V9", "M13.5 11.5v3a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1h3"],
  up: ["m5 12 5-5 5 5"],
  down: ["m5 8 5 5 5-5"],
  terminal: ["m5 7 3.5 3L5 13M10.5 13.5h4.5"],
  warn: ["M10 7.5v3.5M10 13.7v.1", "M9.1 3.6 2.6 14.9a1 1 0 0 0 .9 1.5h13a1 1 0 0 0 .9-1.5L10.9 3.6a1 1 0 0 0-1.8 0Z"],
  key: ["M12.5 11.5a4 4 0 1 0-3.8-2.7L3.5 14v2.5H6v-2h2v-2h1.5l1.2-1.2c.6.1 1.2.2 1.8.2Z", "M13.5 6.6v.1"],
  eye: [
    "M2.5 10S5 4.8 10 4.8 17.5 10 17.5 10 15 15.2 10 15.2 2.5 10 2.5 10Z",
    "M10 12.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z",
  ],
  keyboard: [
    "M3.5 5.5h13a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-13a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1Z",
    "M5.5 8.5h.1M8.5 8.5h.1M11.5 8.5h.1M14.5 8.5h.1M7 11.5h6",
  ],
} as const;

/** The product's mark: a mayfly, wings up. */
export function mark(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 40 40");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  const shapes: [string, string][] = [
    ["wing", "M19.3 19.5C16.5 10 11 6 4.5 5.8c.2 7.7 5.6 13 14.8 13.7Z"],
    ["wing", "M20.7 19.5C23.5 10 29 6 35.5 5.8c-.2 7.7-5.6 13-14.8 13.7Z"],
    ["wing small", "M19 20.5c-4.5.1-7.7 1.7-9.4 4.6 4 .9 7.3-.6 9.4-4.6Z"],
    ["wing small", "M21 20.5c4.5.1 7.7 1.7 9.4 4.6-4 .9-7.3-.6-9.4-4.6Z"],
    ["body", "M20 15.5v10"],
    ["tail", "M20 25.5c-.5 4-2.3 6.8-5.5 9M20 25.5c.5 4 2.3 6.8 5.5 9M20 25.5v10"],
  ];
  for (const [name, d] of shapes) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
