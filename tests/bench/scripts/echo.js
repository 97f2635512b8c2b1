// Types one letter after the other to a program that echoes them: the milliseconds that each took to come back.
async (client, count) => {
  const decoder = new TextDecoder();
  const text = (chunk) => (typeof chunk === "string" ? chunk : decoder.decode(chunk));
  /** Send text; the time at which output with `wanted` in it came. */
  const answered = (wanted, sent) =>
    new Promise((resolve) => {
      const stop = client.tap((chunk) => {
        if (!text(chunk).includes(wanted)) return;
        const now = performance.now();
        stop();
        resolve(now);
      });
      client.sendText(sent);
    });
  // From the ENQ on the terminal is in the kernel's hands, which echoes by itself.
  await answered("\x05", "printf '\\005'; cat > /dev/null\r");
  const times = [];
  for (let n = 0; n < count; n += 1) {
    const letter = String.fromCharCode(97 + (n % 26));
    const typed = performance.now();
    times.push((await answered(letter, letter)) - typed);
    // As a fast typist, not as a paste: each keystroke finds the client idle.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  client.sendText("\r\x04");
  return times;
}
