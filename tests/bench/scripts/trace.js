// Runs before any script of a page: notes when the page asks for something and when it gets it.
(() => {
  const steps = [];
  const note = (what, time = performance.now()) => steps.length < 2000 && steps.push([time, what]);
  /** Name a URL by its end, without what makes it long. */
  const short = (url) => new URL(url, location.href).pathname.slice(-40);
  for (const name of ["compileStreaming", "compile", "instantiateStreaming", "instantiate"]) {
    const original = WebAssembly[name].bind(WebAssembly);
    WebAssembly[name] = async (...given) => {
      note(`${name} called`);
      const made = await original(...given);
      note(`${name} done`);
      return made;
    };
  }
  const { fetch } = globalThis;
  globalThis.fetch = async (what, ...rest) => {
    const name = short(typeof what === "string" ? what : what.url);
    note(`fetch ${name}`);
    const response = await fetch(what, ...rest);
    note(`head of ${name}`);
    return response;
  };
  const Original = WebSocket;
  globalThis.WebSocket = class extends Original {
    constructor(url, ...rest) {
      super(url, ...rest);
      this.name = short(url);
      note(`${this.name} connecting`);
      this.addEventListener("open", () => note(`${this.name} open`));
      this.addEventListener("message", ({ data }) => note(`${this.name} < ${data.byteLength ?? data.size ?? data.length}`));
    }
    send(data) {
      note(`${this.name} > ${data.byteLength ?? data.length}`);
      super.send(data);
    }
  };
  globalThis.traceSteps = () => {
    for (const entry of performance.getEntries()) {
      if (entry.entryType === "resource") {
        note(`  ${short(entry.name)} requested`, entry.fetchStart);
        note(`  ${short(entry.name)} there, ${entry.transferSize} bytes moved`, entry.responseEnd);
      } else if (entry.entryType === "navigation") {
        note("  page there", entry.responseEnd);
        note("  DOM interactive", entry.domInteractive);
      } else if (entry.entryType === "longtask") note(`  long task of ${entry.duration}`, entry.startTime);
      else note(`  ${entry.name}`, entry.startTime);
    }
    return steps.sort(([a], [b]) => a - b);
  };
})();
