/**
 * What a terminal may send by itself.
 *
 * Programs ask terminals questions, and the answers arrive at the shell as if they had been typed. A hostile program
 * that can choose an answer's contents can type commands. So whatever the emulator emits passes an allow-list: keys,
 * mouse, focus, and answers that are made of numbers only. Titles, settings and names are never told.
 */

const ESC = "\x1b";

/** What may follow `ESC [`. */
const CSI: readonly RegExp[] = [
  /^[A-HPQRSZ]$/, // cursor and function keys
  /^1;\d{1,2}[A-HPQRS]$/, // the same with modifiers
  /^\d{1,2}(;\d{1,2})?~$/, // editing and function keys
  /^[IO]$/, // focus gained and lost (mode 1004)
  /^<\d{1,4};\d{1,5};\d{1,5}[Mm]$/, // mouse, SGR and SGR pixels (modes 1006, 1016)
  /^M[\s\S]{3}$/, // mouse, X10
  /^\d{1,4};\d{1,5};\d{1,5}M$/, // mouse, urxvt
  /^\?[\d;]{1,12}c$/, // primary device attributes
  /^>[\d;]{1,12}c$/, // secondary device attributes
  /^0n$/, // device status: well
  /^\??\d{1,5};\d{1,5}R$/, // cursor position
  /^\??\d{1,5};[0-4]\$y$/, // mode report
  /^8;\d{1,4};\d{1,4}t$/, // size in characters
  /^20[01]~$/, // bracketed paste's ends
];

/** A colour of the palette, or of text, background and cursor: how programs learn whether the page is light or dark. */
const COLOR = /^\x1b\](4;\d{1,3}|1[0-2]);rgb:[0-9a-f]{4}\/[0-9a-f]{4}\/[0-9a-f]{4}\x1b\\$/;

/** Whether the emulator may send this, which is neither pasted nor composed by the page itself. */
export function mayBeSent(text: string): boolean {
  if (!text.startsWith(ESC)) return true;
  // Escape alone; Alt with a key; SS3 with a key.
  if (text.length <= 2) return true;
  if (/^\x1bO[A-DFHMP-Sj-y]$/.test(text) || /^\x1b\x1b(\[|O)[A-D]$/.test(text)) return true;
  if (COLOR.test(text)) return true;
  if (text.startsWith(`${ESC}[`)) {
    const rest = text.slice(2);
    return CSI.some((form) => form.test(rest));
  }
  // Alt with a character beyond the basic plane is one character in two units.
  return text.length === 3 && (text.codePointAt(1) ?? 0) > 0xffff;
}
