// The module's glue, as `cargo xtask dist` puts it beside its .wasm.
import type { Engine } from "../../src/api.ts";

export const connect: Engine["connect"];
export default function init(from: { module_or_path: URL }): Promise<unknown>;
