/** The checksum that POSIX' `cksum` prints, over a stretch of a shell's output: proof that every byte arrived. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc >>> 0;
});

export class Checksum {
  /** Bytes summed so far. */
  bytes = 0;
  private crc = 0;
  private readonly marker: Uint8Array;
  private readonly length: number;
  private matched = 0;

  /** Sum `length` bytes, from the end of the first `after` on. */
  constructor({ after = "", length = Infinity }: { after?: string; length?: number } = {}) {
    this.marker = new TextEncoder().encode(after);
    this.length = length;
  }

  update(chunk: Uint8Array): void {
    let at = 0;
    while (this.matched < this.marker.length && at < chunk.length) {
      const byte = chunk[at++];
      // Markers are made so that no part of one begins another.
      if (byte === this.marker[this.matched]) this.matched += 1;
      else this.matched = byte === this.marker[0] ? 1 : 0;
    }
    const end = Math.min(chunk.length, at + this.length - this.bytes);
    let crc = this.crc;
    for (let index = at; index < end; index++) crc = (crc << 8) ^ (TABLE[(crc >>> 24) ^ (chunk[index] ?? 0)] ?? 0);
    this.crc = crc;
    this.bytes += Math.max(0, end - at);
  }

  /** What `cksum` prints: CRC and length. */
  result(): { crc: number; bytes: number } {
    let crc = this.crc;
    for (let length = this.bytes; length > 0; length = Math.floor(length / 256))
      crc = (crc << 8) ^ (TABLE[(crc >>> 24) ^ (length & 0xff)] ?? 0);
    return { crc: ~crc >>> 0, bytes: this.bytes };
  }
}
