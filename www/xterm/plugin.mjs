// What the bundler rewrites in xterm.js: `csp.mjs` and `speed.mjs`. Each entry names the place in upstream's source,
// which
// is in the package too, and what upstream would have to change to make it needless.

import { readFile } from "node:fs/promises";
import { csp } from "./csp.mjs";
import { speed } from "./speed.mjs";

/**
 * Rewrites the minified bundle. The number of matches of each entry is asserted, so that a release of xterm.js that
 * does
 * something elsewhere breaks the build and not the page.
 */
export function rewrite(contents, path) {
  let rewritten = contents;
  for (const { at, pattern, by, times } of [...csp, ...speed]) {
    const found = typeof pattern === "string" ? rewritten.split(pattern).length - 1 : rewritten.match(pattern)?.length;
    if (found !== times) throw new Error(`${path}: what was ${at[0]} is in it ${found ?? 0} times, not ${times}`);
    rewritten = rewritten.replace(pattern, by);
  }
  return rewritten;
}

export const adaptedXterm = {
  name: "adapted-xterm",
  setup(bundle) {
    bundle.onLoad({ filter: /@xterm\/xterm\/lib\/xterm\.mjs$/ }, async ({ path }) => ({
      contents: rewrite(await readFile(path, "utf8"), path),
      loader: "js",
    }));
  },
};
