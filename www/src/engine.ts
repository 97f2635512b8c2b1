/** Loads the WebAssembly module that the page names, and starts it. */

import { parsed } from "../ui/dom.ts";
import type { DayflyError, Engine } from "./api.ts";

/** The module, as soon as it is compiled and started. Rejects with a `DayflyError` when it can't be. */
export function engine(): Promise<Engine> {
  return (started ??= start().then(
    (module) => {
      performance.mark("dayfly:engine");
      return module;
    },
    (error: unknown) => {
      throw {
        step: "engine",
        what: "The page's WebAssembly module could not be started.",
        seen: error instanceof Error ? error.message : String(error),
        todo: "Reload the page. If that does not help, the copy on the server is incomplete or was changed.",
      } satisfies DayflyError;
    },
  ));
}

let started: Promise<Engine> | undefined;

/** What Trunk puts behind all else into the head: where the module is. */
function preload(): HTMLLinkElement | null {
  return document.querySelector('link[rel="preload"][as="fetch"][type="application/wasm"]');
}

/**
 * Start the module that Trunk's preloads in the head name, compiling it while it is fetched.
 *
 * The glue is checked by its module preload, as in `lazy.ts`. The module is not: README.md says why.
 */
async function start(): Promise<Engine> {
  // The page's script may run while the page is still parsed.
  if (!preload()) await parsed();
  const wasm = preload();
  const glue = document.querySelector<HTMLLinkElement>('link[rel="modulepreload"]');
  if (!wasm || !glue) throw new Error("the page names no WebAssembly module");
  const [module, engine] = await Promise.all([
    WebAssembly.compileStreaming(fetch(wasm.href, { credentials: "same-origin" })),
    import(glue.href) as Promise<Engine & Glue>,
  ]);
  await engine.default({ module_or_path: module });
  return engine;
}

interface Glue {
  default(from: { module_or_path: WebAssembly.Module }): Promise<unknown>;
}
