/** xterm.js' GPU renderer, in a file of its own: not every machine has a GPU to speak of. */

import { WebglAddon } from "@xterm/addon-webgl";
import type { Terminal } from "@xterm/xterm";

/** Renderers that draw on the processor, which the document does better. */
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Draw by GPU from now on; falls back by itself when the GPU goes away. `false` where there is none. */
export function drawByGpu(terminal: Terminal): boolean {
  const probe = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!probe) return false;
  const details = probe.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(probe.getParameter(details ? details.UNMASKED_RENDERER_WEBGL : probe.RENDERER));
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  if (SOFTWARE.test(renderer)) return false;
  try {
    const addon = new WebglAddon();
    addon.onContextLoss(() => addon.dispose());
    terminal.loadAddon(addon);
    return true;
  } catch {
    return false;
  }
}
