// What may be typed of a topic, and what its settings say.

import type { Retention, TopicAnswer } from "@/api/schema";
import { bytes, count, exactDuration } from "@/components/format";

const NAME_MAX_CHARS = 255;
const NAME = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const AMOUNT = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i;
// As the server's: the last number here that is not also another one.
const BOUND_MAX = 2 ** 53;

const SECONDS: Readonly<Record<string, number>> = { "": 1, d: 86_400, h: 3_600, min: 60, s: 1 };
const BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  gib: 1024 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  tib: 1024 ** 4,
};
const ONES: Readonly<Record<string, number>> = { "": 1 };

export type Bound = keyof Retention;

export const BOUNDS: readonly {
  readonly bound: Bound;
  readonly example: string;
  readonly label: string;
  readonly units: Readonly<Record<string, number>>;
}[] = [
  { bound: "max_age_s", example: "7 d, 12 h, 90 s", label: "At most how old", units: SECONDS },
  { bound: "max_messages", example: "100000", label: "At most how many messages", units: ONES },
  { bound: "max_bytes", example: "512 MiB, 2 GiB", label: "At most how large", units: BYTES },
];

/** Why this is no name of a topic; null if it is one. */
export function nameProblem(name: string): string | null {
  if (name === "") return "A topic needs a name.";
  if (name.length > NAME_MAX_CHARS) return `A name has at most ${NAME_MAX_CHARS} characters.`;
  if (NAME.test(name)) return null;
  return "A name is made of A–Z, a–z, 0–9, _ and -, in parts joined by dots: orders.created";
}

export type Parsed = { readonly value: number | null } | { readonly problem: string };

/** A bound as it was typed; nothing typed means no bound. */
export function parseBound(text: string, units: Readonly<Record<string, number>>): Parsed {
  const typed = text.trim();
  if (typed === "") return { value: null };
  const found = AMOUNT.exec(typed);
  const size = units[(found?.[2] ?? "?").toLowerCase()];
  if (!found || size === undefined) {
    const names = Object.keys(units).filter(Boolean);
    return { problem: `A number${names.length ? `, with ${names.join(", ")} behind it` : ""}.` };
  }
  const value = Math.round(Number(found[1]) * size);
  const isTooLarge = value > BOUND_MAX || (size === 1 && isMore(found[1] ?? "", BOUND_MAX));
  if (value < 1 || isTooLarge) return { problem: "From 1 to 2^53." };
  return { value };
}

/** Whether digits are more than the number, told exactly. */
function isMore(digits: string, than: number): boolean {
  return /^\d+$/.test(digits) && BigInt(digits) > than;
}

/** A bound as it would be typed. */
export function boundText(bound: Bound, value: number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (bound === "max_age_s") return exactDuration(value).replaceAll(",", "");
  if (bound === "max_messages") return String(value);
  const unit = Object.entries(BYTES)
    .reverse()
    .sort(([, one], [, other]) => other - one)
    .find(([name, size]) => name.length > 1 && value >= size && value % size === 0);
  return unit
    ? `${value / unit[1]} ${unit[0].replace("ib", "iB").replace(/^./, upper)}`
    : String(value);
}

/** The bounds as they would be typed. */
export function textsOf(retention: Retention): Record<Bound, string> {
  return {
    max_age_s: boundText("max_age_s", retention.max_age_s),
    max_bytes: boundText("max_bytes", retention.max_bytes),
    max_messages: boundText("max_messages", retention.max_messages),
  };
}

/** What a topic keeps, in a few words. */
export function kept(retention: Retention): string {
  const { max_age_s, max_bytes, max_messages } = retention;
  const parts = [
    ...(max_age_s ? [exactDuration(max_age_s)] : []),
    ...(max_messages ? [`${count(max_messages)} messages`] : []),
    ...(max_bytes ? [bytes(max_bytes)] : []),
  ];
  return parts.join(", ") || "No bound: keeps everything";
}

export function storedCount({ first_seq, last_seq }: TopicAnswer): number {
  return Math.max(last_seq - first_seq + 1, 0);
}

function upper(letter: string): string {
  return letter.toUpperCase();
}
