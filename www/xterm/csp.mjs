// Lets xterm.js 6.0.0 run under `style-src 'self'`.
//
// It writes rules into `<style>` elements that it makes, and a `style` attribute; a policy without `'unsafe-inline'`
// refuses both. These places are pointed at `src/term/styles.ts` and at the CSS object model, which the policy allows.

export const csp = [
  {
    // Sizes and colours of the document renderer, and the scroll bar's colours. `src/vs/base/browser/dom.ts:971` does
    // the
    // same, and is not in the bundle.
    at: [
      "src/browser/renderer/dom/DomRenderer.ts:138",
      "src/browser/renderer/dom/DomRenderer.ts:158",
      "src/browser/Viewport.ts:79",
    ],
    upstream: "Put the rules into a constructed CSSStyleSheet (`document.adoptedStyleSheets`) where browsers have it.",
    pattern: /[\w$.]+\.createElement\("style"\)/g,
    by: "dayflyStyleElement()",
    times: 3,
  },
  {
    // Letter spacing and RGB colours of a cell.
    at: ["src/browser/renderer/dom/DomRendererRowFactory.ts:517"],
    upstream: "Write `element.style.cssText += style` in the place of the attribute.",
    pattern: /(\w+)\.setAttribute\("style",`\$\{\1\.getAttribute\("style"\)\|\|""\}\$\{(\w+)\};`\)/g,
    by: "$1.style.cssText+=$2",
    times: 1,
  },
];
