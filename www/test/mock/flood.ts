/** 16 KiB of lines: what the mock's `flood` prints again and again. */
export function floodChunk(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(16 * 1024).map((_, index) =>
    index % 64 === 63 ? 10 : index % 64 === 62 ? 13 : 33 + (index % 90),
  );
}
