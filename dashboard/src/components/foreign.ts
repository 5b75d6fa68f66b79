// What others have typed, in our sentences.

// Scripts that run from the right, and the characters that turn text or isolate it (Unicode, UAX #9).
const TURNS =
  /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
// With these it could end what it is put into.
const ISOLATES = /[\u2066-\u2069]/g;
const FIRST_STRONG_ISOLATE = "\u2068";
const POP_ISOLATE = "\u2069";

/** For a sentence that is shown: a name, reason or typed text, which turns no word but its own. Never for what is
 * compared, sent or copied. */
export function foreign(text: string): string {
  if (!TURNS.test(text)) return text;
  return FIRST_STRONG_ISOLATE + text.replace(ISOLATES, "") + POP_ISOLATE;
}
