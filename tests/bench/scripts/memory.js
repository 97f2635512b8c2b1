// Runs before any script of a page: keeps hold of the WebAssembly memories that are made in it.
(() => {
  const memories = [];
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = async (...given) => {
      const made = await original(...given);
      const { exports } = made.instance ?? made;
      memories.push(...Object.values(exports).filter((value) => value instanceof WebAssembly.Memory));
      return made;
    };
  }
  globalThis.wasmMemory = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
})();
