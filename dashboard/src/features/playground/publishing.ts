// What is published from the playground: templates that are filled in, and when each of many is due.

import { foreign } from "@/components/foreign";
import { count } from "@/components/format";
import { JsonProblem, lines } from "@/components/json/lossless";

/** At most so many in one go, and so many in a second: a playground is no load test. */
export const REPEAT_MAX_COUNT = 10_000;
export const RATE_MAX_PER_S = 500;
/** Sent and not answered yet: more wait. */
export const UNANSWERED_MAX_COUNT = 200;

export const TEMPLATES = ["seq", "uuid", "now"] as const;
export type Filling = Readonly<Record<(typeof TEMPLATES)[number], string>>;

const PARTS = ["payload", "key", "headers"] as const;
const TEMPLATE = /\{\{\s*([a-z]*)\s*\}\}/g;
// As the server has them.
const HEADERS_MAX_COUNT = 64;

export interface Drafted {
  readonly headers: string;
  readonly key: string;
  readonly payload: string;
}

export interface Filled {
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string;
  readonly payload: string;
}

export const SAMPLE: Filling = {
  now: "2026-11-30T10:00:00.000Z",
  seq: "1",
  uuid: "01a20504-8136-7409-921c-922a64369347",
};

export function filling(seq: number, now = new Date()): Filling {
  return { now: now.toISOString(), seq: String(seq), uuid: uuid() };
}

export function filled(text: string, values: Filling): string {
  return text.replace(TEMPLATE, (whole, name: string) => values[name as keyof Filling] ?? whole);
}

export function filledIn({ headers, key, payload }: Drafted, values: Filling): Filled {
  return {
    headers: parseHeaders(filled(headers, values)).headers,
    key: filled(key, values),
    payload: filled(payload, values).trim(),
  };
}

/** What a single command does not do that the page does, or of what is typed it leaves out; null: nothing. */
export function differences(draft: Drafted, total: number, perS: number): string | null {
  const typed = `${draft.payload}\n${draft.headers}\n${draft.key}`;
  const names = new Set([...typed.matchAll(TEMPLATE)].map(([, name]) => name));
  const used = TEMPLATES.filter((name) => names.has(name));
  const { problem } = parseHeaders(draft.headers);
  const parts = [
    ...(problem === null ? [] : [`Not as it is typed: ${problem}`]),
    ...(used.length > 0
      ? [
          `Filled in as an example, the same each time: ${used.map((name) => `{{${name}}}`).join(", ")}.`,
        ]
      : []),
    ...(total > 1
      ? [`It publishes one message; the page publishes ${total}, of which ${perS} a second.`]
      : []),
  ];
  return parts.length > 0 ? parts.join(" ") : null;
}

/** Why each part cannot be published as it is; null where it can. */
export function draftProblems({
  headers,
  key,
  payload,
}: Drafted): Readonly<Record<keyof Drafted, string | null>> {
  return {
    headers: templateProblem(headers) ?? parseHeaders(headers).problem,
    key: templateProblem(key),
    payload: templateProblem(payload) ?? payloadProblem(payload),
  };
}

/** The same beside the button: the field says what is wrong with it. */
export function whatToMend(draft: Drafted): string | null {
  const problems = draftProblems(draft);
  const part = PARTS.find((each) => problems[each] !== null);
  return part ? `Mend the ${part} first` : null;
}

function templateProblem(text: string): string | null {
  const unknown = [...text.matchAll(TEMPLATE)].find(
    ([, name]) => !TEMPLATES.includes(name as never),
  );
  return unknown ? `There is no template ${unknown[0]}: {{seq}}, {{uuid}} and {{now}} are.` : null;
}

function payloadProblem(payload: string): string | null {
  try {
    lines(filled(payload, SAMPLE));
    return null;
  } catch (error) {
    if (error instanceof JsonProblem) return error.message;
    throw error;
  }
}

interface Headers {
  readonly headers: Readonly<Record<string, string>>;
  readonly problem: string | null;
}

/** Lines of `name: value`. */
export function parseHeaders(text: string): Headers {
  // An object would not take a header called `__proto__`.
  const found = new Map<string, string>();
  let problem: string | null = null;
  for (const line of text.split("\n").filter((each) => each.trim() !== "")) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).trim();
    if (at < 0 || name === "")
      problem ??= `A header is a line such as trace: 7f3a, not “${foreign(line)}”.`;
    else found.set(name, line.slice(at + 1).trim());
  }
  if (found.size > HEADERS_MAX_COUNT) {
    problem ??= `There are at most ${HEADERS_MAX_COUNT} headers.`;
  }
  return { headers: Object.fromEntries(found), problem };
}

/** The frame that publishes, whose payload is what was typed, to the character. */
export function publishFrame(topic: string, act: Filled, ref: string): string {
  const parts = [
    '"type":"publish"',
    `"topic":${JSON.stringify(topic)}`,
    `"payload":${act.payload}`,
    ...(act.key ? [`"key":${JSON.stringify(act.key)}`] : []),
    ...(Object.keys(act.headers).length > 0 ? [`"headers":${JSON.stringify(act.headers)}`] : []),
    `"ref":${JSON.stringify(ref)}`,
  ];
  return `{${parts.join(",")}}`;
}

interface Progress {
  readonly answered: number;
  readonly perS: number;
  readonly sent: number;
  readonly startedAt: number;
  readonly total: number;
}

/** How many are to be sent now: what is due by the clock, and not more than may wait for its answer. */
export function dueCount(
  { answered, perS, sent, startedAt, total }: Progress,
  now: number,
): number {
  const due = Math.min(total, Math.floor(((now - startedAt) / 1_000) * perS) + 1) - sent;
  return Math.max(0, Math.min(due, UNANSWERED_MAX_COUNT - (sent - answered)));
}

/** Why a number is not taken as it is typed; null if it is. */
export function numberProblem(text: string, most: number): string | null {
  const typed = text.trim();
  const isOne = /^\d+$/.test(typed) && Number(typed) >= 1 && Number(typed) <= most;
  return isOne ? null : `A whole number from 1 to ${count(most)}`;
}

/** What is meant while it is typed. */
export function bounded(text: string, most: number): number {
  const typed = Math.floor(Number(text));
  return Number.isFinite(typed) ? Math.min(Math.max(typed, 1), most) : 1;
}

/** Also where the page came by plain HTTP from another machine, and browsers make none. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
