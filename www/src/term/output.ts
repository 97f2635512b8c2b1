/** What a shell puts out, as xterm.js is to read it. */

/** Reads a stream of bytes, in chunks that may begin and end within a character. */
export class OutputReader {
  /** What is no UTF-8 becomes U+FFFD, as everywhere in a browser; xterm.js itself drops such bytes without a trace. */
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** The decoder may have the start of a character, whose rest is to come. */
  private inCharacter = false;

  /**
   * The text of the next chunk, or the chunk itself where it is ASCII, as most output is: that makes no text of it
   * first.
   */
  read(chunk: Uint8Array): Uint8Array | string {
    if (!this.inCharacter && isAscii(chunk)) return chunk;
    this.inCharacter = (chunk.at(-1) ?? 0x80) >= 0x80;
    return this.decoder.decode(chunk, { stream: true });
  }
}

function isAscii(bytes: Uint8Array): boolean {
  let all = 0;
  for (let i = 0; i < bytes.length; i++) all |= bytes[i] ?? 0;
  return all < 0x80;
}
