// Runs before any script of a page: sums the time for which it waits for its control server.
//
// What passes from the last message on the connection, either way, to the next one that comes in counts as the server's
// time. A page that is busy meanwhile, and could not have taken the message sooner, is given that time as well.
(() => {
  const waits = [];
  const Original = WebSocket;
  globalThis.WebSocket = class extends Original {
    constructor(url, ...rest) {
      super(url, ...rest);
      if (!new URL(url).pathname.endsWith("/ts2021")) return;
      this.last = performance.now();
      this.addEventListener("message", () => {
        const now = performance.now();
        waits.push([this.last, now]);
        this.last = now;
      });
    }
    send(data) {
      if (this.last) this.last = performance.now();
      super.send(data);
    }
  };
  /** The sum of all that ended between these times. */
  globalThis.controlWaits = (from, to) =>
    waits.filter(([, end]) => end >= from && end <= to).reduce((sum, [start, end]) => sum + (end - Math.max(start, from)), 0);
})();
