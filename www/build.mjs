// Bundles the page's scripts and styles into `.build/`, from where Trunk takes them (index.html).
//
//   main.js      everything before a shell is open: form, machines, errors. Small, and first.
//   terminal.js  xterm.js with its add-ons. Fetched while the person is still reading the form.
//   webgl.js     xterm.js' GPU renderer. Fetched when a terminal opens, and does without where there is no GPU.
//   hooks.js     window.dayfly. Fetched where config.json wants it for tests.
//   page.css     all styles, xterm.js' own included.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Lets xterm.js run under `style-src 'self'`.
 *
 * xterm.js writes rules into `<style>` elements that it makes, and a `style` attribute for letter spacing and RGB
 * colours; a policy without `'unsafe-inline'` refuses both. While bundling, these four places are pointed at
 * `src/term/styles.ts`, which does the same through the CSS object model, which the policy allows. The numbers are
 * asserted, so that a release of xterm.js that does it elsewhere breaks the build and not the page.
 *
 * Also lets `src/term/frames.ts` decide when and what it draws, which no option of xterm.js does.
 */
const adapted = {
  name: "adapted-xterm",
  setup(bundle) {
    bundle.onLoad({ filter: /@xterm\/xterm\/lib\/xterm\.mjs$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      const replace = (pattern, by, times) => {
        const found =
          typeof pattern === "string" ? contents.split(pattern).length - 1 : (contents.match(pattern)?.length ?? 0);
        if (found !== times) throw new Error(`${path}: ${pattern} matches ${found} times, not ${times}`);
        contents = contents.replace(pattern, by);
      };
      replace(/[\w$.]+\.createElement\("style"\)/g, "dayflyStyleElement()", 3);
      replace(
        /(\w+)\.setAttribute\("style",`\$\{\1\.getAttribute\("style"\)\|\|""\}\$\{(\w+)\};`\)/g,
        "$1.style.cssText+=$2",
        1,
      );
      // The renderer's two, and the one in which the selection follows what has scrolled.
      replace(
        /this\._coreBrowserService\.window\.requestAnimationFrame\(\(\)=>this\.(_innerRefresh|_refresh)\(\)\)/g,
        "dayflyFrame(()=>this.$1())",
        3,
      );
      // Scrollbar and selection follow each line that scrolls, and the field for input the cursor; they need to only before
      // the next frame.
      replace(
        "this._renderService.handleCursorMove(),this._syncTextArea()",
        "this._renderService.handleCursorMove(),this._dayflyField??=this._renderService.addRefreshCallback(()=>{this._dayflyField=void 0,this._syncTextArea()})",
        1,
      );
      replace(
        "()=>{this._selectionService.refresh(),this._viewport?.queueSync()}",
        "()=>{this._dayflyScrolled||(this._dayflyScrolled=!0,queueMicrotask(()=>{this._dayflyScrolled=!1,this._selectionService.refresh(),this._viewport?.queueSync()}))}",
        1,
      );
      replace(
        "this._bufferService.onScroll(()=>this._sync())",
        "this._bufferService.onScroll(()=>{this._dayflySync??=this._renderService.addRefreshCallback(()=>{this._dayflySync=void 0,this._sync()})})",
        1,
      );
      replace(
        "_refresh(){this._refreshAnimationFrame=void 0,this._onRedrawRequest",
        "_refresh(){this._refreshAnimationFrame=void 0,dayflySelection(this)&&this._onRedrawRequest",
        1,
      );
      // A line that scrolls in is a copy of the blank one, and most have nothing in these two to be forgotten.
      replace(/this\.(_combined|_extendedAttrs)=\{\};for\(/g, "this.$1=dayflyEmptied(this.$1);for(", 3);
      return { contents, loader: "js" };
    });
  },
};

export const options = {
  bundle: true,
  format: "esm",
  target: ["chrome114", "firefox121", "safari17"],
  charset: "utf8",
  legalComments: "none",
  minify: true,
  logLevel: "warning",
  absWorkingDir: here("."),
};

export async function bundle(outdir, overrides = {}) {
  const scripts = build({
    ...options,
    entryPoints: { main: "src/main.ts", webgl: "src/term/webgl.ts", hooks: "src/hooks/hooks.ts" },
    outdir,
    ...overrides,
  });
  const terminal = build({
    ...options,
    entryPoints: { terminal: "src/term/view.ts" },
    inject: [here("src/term/styles.ts"), here("src/term/frames.ts")],
    plugins: [adapted],
    outdir,
    ...overrides,
  });
  const styles = build({ ...options, entryPoints: { page: "styles/page.css" }, outdir, ...overrides });
  await Promise.all([scripts, terminal, styles]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle(here(".build"));
