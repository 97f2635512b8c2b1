// Has a shell print lines of 80 bytes: the milliseconds from Enter to the arrival of the last byte.
async (client, bytes) => {
  const ended = new Promise((resolve) => {
    const stop = client.tap((chunk) => {
      if (!chunk.includes(typeof chunk === "string" ? "\x01" : 1)) return;
      const now = performance.now();
      stop();
      resolve(now);
    });
  });
  client.sendText(`yes "$(printf %079d 0)" | head -c ${bytes}; printf '\\001'`);
  const began = performance.now();
  client.sendText("\r");
  return (await ended) - began;
}
