/** OSC 52: a program on the machine wants to write the clipboard, or to read it. */

/** The longest text that a program may offer, in bytes. */
export const LONGEST_OFFER = 100 * 1024;

export type Request = { kind: "write"; text: string } | { kind: "read" } | { kind: "ignore" };

/** Read an OSC 52's data: `Pc ; Pd`, where `Pd` is base64, or `?` to read. */
export function parseOsc52(data: string): Request {
  const semicolon = data.indexOf(";");
  if (semicolon < 0) return { kind: "ignore" };
  const selection = data.slice(0, semicolon);
  const payload = data.slice(semicolon + 1);
  if (!/^[cpqs0-7]{0,8}$/.test(selection)) return { kind: "ignore" };
  if (payload === "?") return { kind: "read" };
  if (!payload || payload.length > (LONGEST_OFFER * 4) / 3 + 4) return { kind: "ignore" };
  try {
    const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text ? { kind: "write", text } : { kind: "ignore" };
  } catch {
    return { kind: "ignore" };
  }
}
