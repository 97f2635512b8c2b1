/** Text as a person reads it: from elsewhere made harmless, and times in words. */

/** Text from elsewhere on one line: no control characters, no direction overrides, not endless. */
export function plain(text: string, longest = 200): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
  return clean.length > longest ? `${clean.slice(0, longest - 1)}…` : clean;
}

/** The same for text of several lines. */
export function plainLines(text: string, longest = 4000): string {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const clean = lines.map((line) => plain(line, longest)).join("\n");
  return clean.length > longest ? `${clean.slice(0, longest - 1)}…` : clean;
}

/** Milliseconds as a person reads them. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(1, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A moment as the clock on the wall shows it. */
export function clock(at: Date = new Date()): string {
  return `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
}
