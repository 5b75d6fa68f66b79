// What is looked for, as it is typed: words, and tokens such as `key:a`, which are shown as chips.

import type { TopicAnswer } from "@/api/schema";
import { foreign } from "@/components/foreign";
import type { Moment, Wanted } from "@/services/messages";

export interface Filter {
  readonly contains: string | null;
  readonly fromSeq: number | null;
  readonly fromTime: Moment | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly id: string | null;
  readonly isDead: boolean;
  readonly key: string | null;
  readonly problems: readonly string[];
  readonly toTime: Moment | null;
  /** As they were typed, each of which can be taken away. */
  readonly tokens: readonly string[];
}

export const HELP = [
  ["declined", "the payload has this text, as it was published; case matters"],
  ['"two words"', "the same with blanks or a colon in it"],
  ["seq:1200", "begin at this number"],
  ["after:-15m, before:2026-11-30T10:00Z", "published since, or before"],
  ["key:customer-7", "with this key"],
  ["header.trace:7f3a", "with this header"],
  ["id:01a2…", "the message with this id"],
  ["state:dead", "dead letters of the topic, also those that were redriven"],
] as const;

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const AGO = /^-(\d{1,9})(s|m|min|h|d)$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  min: 60_000,
  s: 1_000,
};
// A blank ends a token, but not between quotes, in which \" is a quote.
const TOKEN = /(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+/g;
const QUOTED = /^"((?:[^"\\]|\\.)*)"?$/s;
const NAMED = /^(seq|after|before|key|id|state|header\.[^:\s"]+):(.*)$/s;
// Words that look as if they named something. `https://` does not, nor does `12:30`.
const UNKNOWN = /^([a-z][\w.-]*):(?!\/\/)|^header\.[^\s"]*$/is;
const CONTAINS_MAX_CHARS = 255;

interface Found {
  contains: string[];
  fromSeq: number | null;
  fromTime: Moment | null;
  headers: (readonly [string, string])[];
  id: string | null;
  isDead: boolean;
  key: string | null;
  problems: string[];
  toTime: Moment | null;
}

export function parseFilter(text: string): Filter {
  const tokens = text.match(TOKEN) ?? [];
  const found: Found = {
    contains: [],
    fromSeq: null,
    fromTime: null,
    headers: [],
    id: null,
    isDead: false,
    key: null,
    problems: [],
    toTime: null,
  };
  for (const token of tokens) {
    const named = NAMED.exec(token);
    if (named) take(found, named[1] ?? "", unquoted(named[2] ?? ""));
    else if (UUID.test(token)) found.id = token.toLowerCase();
    else takeText(found, token);
  }
  const contains = found.contains.join(" ");
  if (contains.length > CONTAINS_MAX_CHARS) {
    found.problems.push(`The text has more than ${CONTAINS_MAX_CHARS} characters.`);
  }
  if (found.isDead && tokens.length > 1) found.problems.push("state:dead goes alone, for now.");
  return { ...found, contains: contains || null, tokens };
}

function takeText(found: Found, token: string): void {
  if (UNKNOWN.test(token)) found.problems.push(unknown(token));
  found.contains.push(unquoted(token));
}

function unknown(token: string): string {
  const asText = `"${token.replace(/["\\]/g, "\\$&")}"`;
  const wrong = /^header\.[^:]+$/i.test(token)
    ? `${token} has no value: ${token}:7f3a.`
    : `There is no ${token.slice(0, token.indexOf(":") + 1) || token} to look for.`;
  return `${wrong} As text it is looked for in quotes: ${asText}`;
}

function take(found: Found, name: string, value: string): void {
  if (value === "") found.problems.push(`Something is missing behind ${name}:`);
  else if (name.startsWith("header.")) found.headers.push([name.slice("header.".length), value]);
  else TAKERS[name]?.(found, value);
}

const TAKERS: Readonly<Record<string, (found: Found, value: string) => void>> = {
  after: (found, value) => {
    found.fromTime = moment(found, "after", value);
  },
  before: (found, value) => {
    found.toTime = moment(found, "before", value);
  },
  id: (found, value) => {
    if (UUID.test(value)) found.id = value.toLowerCase();
    else found.problems.push(`“${foreign(value)}” is no id of a message.`);
  },
  key: (found, value) => {
    found.key = value;
  },
  seq: (found, value) => {
    const seq = Number(value);
    if (/^\d+$/.test(value) && Number.isSafeInteger(seq)) found.fromSeq = seq;
    else found.problems.push(`“${foreign(value)}” is no number of a message.`);
  },
  state: (found, value) => {
    if (value === "dead") found.isDead = true;
    else found.problems.push("Of the states only dead can be looked for: state:dead");
  },
};

function moment(found: Found, name: string, value: string): Moment | null {
  const ago = AGO.exec(value);
  if (ago) return { agoMs: Number(ago[1]) * (UNIT_MS[ago[2] ?? ""] ?? 0) };
  // With a date alone, or without a zone, nobody knows whose midnight is meant.
  const at = /\dT\d.*(?:Z|[+-]\d\d:?\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(at)) return { at: new Date(at).toISOString() };
  found.problems.push(`“${foreign(value)}” is no time: ${name}:-15m, or ${name}:2026-11-30T10:00Z`);
  return null;
}

function unquoted(text: string): string {
  // What is in quotes as a whole; `"amount": 5` is looked for with its quotes.
  const whole = QUOTED.exec(text);
  return whole ? (whole[1] ?? "").replace(/\\(["\\])/g, "$1") : text;
}

/** That the number to begin at is not there, and why; null: it is, or none was asked for. `shown`: the numbers that are
 * listed, which may have come since the topic was looked at. */
export function absence(
  { fromSeq }: Filter,
  { first_seq, last_seq }: Pick<TopicAnswer, "first_seq" | "last_seq">,
  shown: readonly (number | null)[],
): string | null {
  if (fromSeq === null) return null;
  const last = shown.reduce<number>((most, each) => Math.max(most, each ?? 0), last_seq);
  if (fromSeq > last) {
    const ends = last === 0 ? "nothing was published yet" : `the last one is ${last}`;
    return `There is no message ${fromSeq}, it is not published yet: ${ends}.`;
  }
  if (fromSeq > 0 && fromSeq >= first_seq) return null;
  if (fromSeq === 0) return "There is no message 0: numbers begin at 1.";
  const begins = first_seq > last ? "none is stored" : `the first that is stored is ${first_seq}`;
  return `There is no message ${fromSeq} any more, it was removed: ${begins}.`;
}

/** Whether messages have to be looked at one by one for it. */
export function isSearch({ contains, headers, key }: Filter): boolean {
  return contains !== null || key !== null || headers.length > 0;
}

export function without(filter: Filter, token: string): string {
  const at = filter.tokens.indexOf(token);
  return filter.tokens.filter((_, index) => index !== at).join(" ");
}

export function wanted(filter: Filter, order: Wanted["order"]): Wanted {
  return {
    headers: filter.headers,
    order,
    ...(filter.contains !== null && { contains: filter.contains }),
    ...(filter.fromSeq !== null && { fromSeq: filter.fromSeq }),
    ...(filter.fromTime !== null && { fromTime: filter.fromTime }),
    ...(filter.key !== null && { key: filter.key }),
    ...(filter.toTime !== null && { toTime: filter.toTime }),
  };
}
