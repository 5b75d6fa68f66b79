// Payloads as they were published, character by character. `JSON.parse` rounds 2^53 + 1 and makes 1e400 infinity, so
// a payload is never given to it: before an answer is parsed each payload in it is replaced by its own text.

import "@/api/withoutEval";

import { z } from "zod";

/** JSON text. `text` is its beginning if it `is_cut`; `bytes` is the size of all of it in UTF-8. */
export const Exact = z.object({ bytes: z.number(), is_cut: z.boolean(), text: z.string() });
export type Exact = z.infer<typeof Exact>;

const FIELD = "payload";
const BLANK = /[ \t\n\r]*/y;
const SCALAR = /[^ \t\n\r,\]}]+/y;
const MARK = /["{}[\]]/g;
const BACKSLASH = 92;
const encoder = new TextEncoder();

/** The same JSON text in which each payload of the object, and of the objects in its arrays, is an `Exact` with
 * at most so many characters of it. What is no JSON stays as it is: whoever parses it says so. */
export function withExactPayloads(json: string, mostChars = Number.POSITIVE_INFINITY): string {
  let found: readonly Span[];
  try {
    found = payloads(json);
  } catch (error) {
    if (error instanceof SyntaxError) return json;
    throw error;
  }
  let made = "";
  let at = 0;
  for (const { end, start } of found) {
    made += json.slice(at, start) + JSON.stringify(exact(json.slice(start, end), mostChars));
    at = end;
  }
  return made + json.slice(at);
}

export function exact(text: string, mostChars = Number.POSITIVE_INFINITY): Exact {
  const isCut = text.length > mostChars;
  return {
    bytes: encoder.encode(text).length,
    is_cut: isCut,
    text: isCut ? text.slice(0, mostChars) : text,
  };
}

interface Span {
  readonly end: number;
  readonly start: number;
}

function payloads(json: string): Span[] {
  const found: Span[] = [];
  const start = blank(json, 0);
  for (const member of members(json, start)) {
    if (member.name === FIELD) found.push(member);
    else if (json[member.start] === "[") {
      for (const element of elements(json, member.start)) {
        found.push(...members(json, element.start).filter(({ name }) => name === FIELD));
      }
    }
  }
  return found;
}

/** Of the object that begins there; none if something else does. */
function members(json: string, at: number): (Span & { readonly name: string })[] {
  const found: (Span & { readonly name: string })[] = [];
  if (json[at] !== "{") return found;
  let next = blank(json, at + 1);
  while (json[next] !== "}") {
    const nameEnd = stringEnd(json, next);
    const start = blank(json, blank(json, nameEnd) + 1);
    const end = valueEnd(json, start);
    found.push({ end, name: json.slice(next + 1, nameEnd - 1), start });
    next = afterComma(json, end);
  }
  return found;
}

function elements(json: string, at: number): Span[] {
  const found: Span[] = [];
  let start = blank(json, at + 1);
  while (json[start] !== "]") {
    const end = valueEnd(json, start);
    found.push({ end, start });
    start = afterComma(json, end);
  }
  return found;
}

function afterComma(json: string, at: number): number {
  const next = blank(json, at);
  return json[next] === "," ? blank(json, next + 1) : next;
}

function blank(json: string, at: number): number {
  BLANK.lastIndex = at;
  BLANK.exec(json);
  return BLANK.lastIndex;
}

function valueEnd(json: string, at: number): number {
  const first = json[at];
  if (first === '"') return stringEnd(json, at);
  if (first === "{" || first === "[") return containerEnd(json, at);
  SCALAR.lastIndex = at;
  if (!SCALAR.test(json)) throw new SyntaxError(`no value at ${at}`);
  return SCALAR.lastIndex;
}

function containerEnd(json: string, at: number): number {
  let depth = 0;
  MARK.lastIndex = at;
  for (let mark = MARK.exec(json); mark; mark = MARK.exec(json)) {
    if (mark[0] === '"') MARK.lastIndex = stringEnd(json, mark.index);
    else if (mark[0] === "{" || mark[0] === "[") depth += 1;
    else if (--depth === 0) return mark.index + 1;
  }
  throw new SyntaxError(`what begins at ${at} has no end`);
}

/** Behind the string that begins there. */
export function stringEnd(json: string, at: number): number {
  if (json[at] !== '"') throw new SyntaxError(`no string at ${at}`);
  for (let end = json.indexOf('"', at + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let before = end - 1;
    while (json.charCodeAt(before) === BACKSLASH) before -= 1;
    if ((end - before) % 2 === 1) return end + 1;
  }
  throw new SyntaxError(`the string at ${at} has no end`);
}
