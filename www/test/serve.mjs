// Serves the page as Trunk would build it, with the mock in the engine's place.

import { createHash } from "node:crypto";
import { mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundle, options } from "../build.mjs";

const www = fileURLToPath(new URL("..", import.meta.url));
const TYPES = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
  json: "application/json",
  wasm: "application/wasm",
};
/** The example page of the API, by where it is served. */
const EMBEDDED = { "embed/": "index.html", "embed/embed.js": "embed.js" };
/** A module of nothing: the mock's glue has it all. */
const WASM = Buffer.from("0061736d01000000", "hex");

/**
 * Build, listen on loopback, and answer with the base URL and how to stop. `config` is served as config.json: an
 * object,
 * `null` for none, or a function that answers the request in its own way (`{ status, type, body }`, or a promise of
 * it).
 */
export async function serve({ config = null, port = 0 } = {}) {
  const dir = await mkdtemp(join(tmpdir(), "dayfly-page-"));
  await bundle(dir);
  await build({ ...options, entryPoints: { mock: join(www, "test/mock/engine.ts") }, outdir: dir });
  const integrity = async (name) =>
    `sha384-${createHash("sha384")
      .update(await readFile(join(dir, name)))
      .digest("base64")}`;
  let html = await readFile(join(www, "index.html"), "utf8");
  html = html.replace(/<link data-trunk rel="rust"[^>]*>/, "");
  html = html.replace('<link data-trunk rel="icon"', '<link rel="icon"');
  for (const name of ["page.css", "main.js", "terminal.js", "webgl.js", "hooks.js"]) {
    const attributes = `integrity="${await integrity(name)}" crossorigin="anonymous"`;
    html = html
      .replace(`href=".build/${name}"`, `href="./${name}" ${attributes}`)
      .replace(`src=".build/${name}"`, `src="./${name}" ${attributes}`);
  }
  // As Trunk and `cargo xtask dist` put them behind all else.
  const preloads = `<link rel="modulepreload" href="./mock.js" crossorigin="anonymous" integrity="${await integrity("mock.js")}"><link rel="preload" href="./mock.wasm" crossorigin="anonymous" as="fetch" type="application/wasm">`;
  html = html.replace("</head>", `${preloads}</head>`);
  html = html
    .replaceAll(' data-trunk rel="css"', ' rel="stylesheet"')
    .replaceAll(" data-trunk", "")
    .replaceAll(" data-no-minify", "");
  const state = { config };
  const server = createServer(async (request, response) => {
    // The path may begin with more than one slash, and is no host then.
    const name = request.url.replace(/\?.*/, "").replace(/^\/+/, "") || "index.html";
    try {
      let body;
      if (name === "config.json" && typeof state.config === "function") {
        const { status = 200, type = TYPES.json, body } = await state.config(html);
        return void response.writeHead(status, { "content-type": type }).end(body);
      }
      if (name === "index.html") body = html;
      else if (EMBEDDED[name]) body = await readFile(join(www, "examples/embed", EMBEDDED[name]));
      else if (name === "embed/dayfly.js") body = await readFile(join(dir, "mock.js"));
      else if (name === "mock.wasm" || name === "embed/dayfly.wasm") body = WASM;
      else if (name === "config.json" && state.config) body = JSON.stringify(state.config);
      else if (name === "icon.svg") body = await readFile(join(www, name));
      else body = await readFile(join(dir, name.replaceAll("/", "")));
      if (name === state.tampered) body = Buffer.concat([Buffer.from(body), Buffer.from(" ")]);
      response
        .writeHead(200, {
          "content-type":
            TYPES[name.split(".").pop()] ?? (name.endsWith("/") ? TYPES.html : "application/octet-stream"),
        })
        .end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    dir,
    setConfig: (next) => (state.config = next),
    /** Serve a file with one byte more, as somebody who got at the server would. */
    tamper: (name) => (state.tampered = name),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
