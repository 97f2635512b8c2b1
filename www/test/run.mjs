// `npm test [unit|browser] [--test-name-pattern=NAME]`: bundles the tests, which are TypeScript, and runs them with
// Node's own
// runner, which takes the options.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = await mkdtemp(join(here, "../node_modules/.dayfly-tests-"));
const words = process.argv.slice(2);
const options = words.filter((word) => word.startsWith("--"));
const kinds = words.length > options.length ? words.filter((word) => !options.includes(word)) : ["unit", "browser"];
try {
  const entryPoints = [];
  for (const kind of kinds) {
    for (const name of await readdir(join(here, kind)))
      if (/\.test\.m?ts$/.test(name)) entryPoints.push(join(here, kind, name));
  }
  await build({
    entryPoints,
    outdir: out,
    bundle: true,
    platform: "node",
    format: "esm",
    outExtension: { ".js": ".mjs" },
    outbase: here,
    external: ["../serve.mjs", "../browser.mjs", "node:*"],
    logLevel: "warning",
    plugins: [helpers()],
  });
  const files = entryPoints.map((path) => join(out, path.slice(here.length).replace(/\.ts$/, ".mjs")));
  const code = await new Promise((resolve) =>
    spawn(process.execPath, ["--test", "--test-reporter=spec", "--test-concurrency=1", ...options, ...files], {
      stdio: "inherit",
    }).on("exit", resolve),
  );
  process.exitCode = code ?? 1;
} finally {
  await rm(out, { recursive: true, force: true });
}

/** The helpers beside this file find the page by their own place, so they are imported from there. */
function helpers() {
  return {
    name: "helpers",
    setup(bundle) {
      bundle.onResolve({ filter: /\.\.\/(serve|browser)\.mjs$/ }, ({ path }) => ({
        path: join(here, path.replace("../", "")),
        external: true,
      }));
    },
  };
}
