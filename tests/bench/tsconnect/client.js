// Tailscale's own browser client in the least page that can hold it: no terminal, nothing that costs it time.
//
// Takes the same fragment as Dayfly's page, sets marks at the same events, and offers the benchmark the same hooks:
// `tap` for output, `sendText` for keys, `leave` to log out.

(async () => {
  const settings = new URLSearchParams(location.hash.slice(1));
  const taps = new Set();
  let read;
  window.tsconnect = {
    tap(listener) {
      taps.add(listener);
      return () => taps.delete(listener);
    },
    sendText: (text) => read(text),
    leave: () => {},
  };
  const fail = (seen) => {
    document.body.textContent += `${seen}\n`;
    document.body.dataset.state = "error";
  };
  addEventListener("unhandledrejection", (event) => fail(event.reason));

  const go = new Go();
  const wasm = fetch(document.querySelector("link[as=fetch]").href);
  const { instance } = await WebAssembly.instantiateStreaming(wasm, go.importObject);
  // Go's main sets `newIPN` and blocks, which is when this returns.
  go.run(instance).then(() => fail("the client has exited"), fail);
  performance.mark("tsconnect:ready");

  const ipn = newIPN({
    controlURL: settings.get("control"),
    authKey: settings.get("authkey"),
    hostname: settings.get("hostname"),
  });
  window.tsconnect.leave = () => ipn.logout();
  ipn.run({
    notifyState(state) {
      document.body.dataset.state = state;
      // The client uses its key only when asked to log in.
      if (state === "NeedsLogin") ipn.login();
      if (state !== "Running" || performance.getEntriesByName("tsconnect:running").length > 0) return;
      performance.mark("tsconnect:running");
      openShell();
    },
    notifyNetMap() {},
    notifyBrowseToURL: (url) => fail(`the key was not enough: ${url}`),
    notifyPanicRecover: fail,
  });

  function openShell() {
    let prompted = false;
    ipn.ssh(settings.get("host"), settings.get("user"), {
      rows: 40,
      cols: 120,
      timeoutSeconds: 30,
      writeFn(text) {
        if (!prompted) performance.mark("tsconnect:prompt");
        prompted = true;
        for (const tap of taps) tap(text);
      },
      writeErrorFn: fail,
      setReadFn: (give) => (read = give),
      onConnectionProgress() {},
      onConnected() {},
      onDone() {},
    });
  }
})();
