// Bundles the page's scripts and styles into `.build/`, from where Trunk takes them (index.html).
//
//   main.js      everything before a shell is open: form, machines, errors. Small, and first.
//   terminal.js  xterm.js with its add-ons. Fetched while the person is still reading the form.
//   webgl.js     xterm.js' GPU renderer. Fetched when a terminal opens, and does without where there is no GPU.
//   hooks.js     window.dayfly. Fetched where config.json wants it for tests.
//   page.css     all styles, xterm.js' own included.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { adaptedXterm } from "./xterm/plugin.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

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
    plugins: [adaptedXterm],
    outdir,
    ...overrides,
  });
  const styles = build({ ...options, entryPoints: { page: "styles/page.css" }, outdir, ...overrides });
  await Promise.all([scripts, terminal, styles]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle(here(".build"));
