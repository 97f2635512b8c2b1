/**
 * What xterm.js gets when it asks for a `<style>` element: see `xterm/`.
 *
 * An element that draws nothing, whose text becomes a constructed style sheet of the document. A policy of
 * `style-src 'self'` refuses rules in markup and allows these, because only a script that already runs can make them.
 */
export function dayflyStyleElement(): HTMLElement {
  const element = document.createElement("template");
  const sheet = new CSSStyleSheet();
  let text = "";
  Object.defineProperty(element, "textContent", {
    get: () => text,
    set(rules: string) {
      text = rules;
      sheet.replaceSync(rules);
    },
  });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(element);
  };
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return element;
}
