// JSON laid out for people, with each number, string and name as it was written.

import { stringEnd } from "@/api/exact";

export interface Token {
  readonly kind: "mark" | "name" | "number" | "string" | "word";
  readonly text: string;
}

export interface Line {
  readonly depth: number;
  readonly tokens: readonly Token[];
}

/** What is wrong with a text, and where, counted from 1. */
export class JsonProblem extends Error {
  override name = "JsonProblem";

  constructor(
    what: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(`${what} (line ${line}, column ${column})`);
  }
}

const BLANK = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
// A string with a raw control character, or an escape that there is not.
// biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them
const BAD_STRING = /[\u0000-\u001f]|\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})./;
const NO_PAIRS = /\\\\/g;
const INDENT = "  ";
// What is deeper is as far to the right: else the blanks are more than the text.
const INDENTS_COUNT = 64;
const CLOSE = { "[": "]", "{": "}" } as const;

/** The lines of a JSON text. Throws JsonProblem. Nothing is called for each level, so no depth is too deep. */
export function lines(text: string): Line[] {
  return new Layout(text).lines();
}

/** Why a text is no JSON; null if it is. */
export function jsonProblem(text: string): JsonProblem | null {
  try {
    lines(text);
    return null;
  } catch (error) {
    if (error instanceof JsonProblem) return error;
    throw error;
  }
}

export function laidOut(all: readonly Line[]): string {
  return all.map((line) => indent(line) + line.tokens.map(({ text }) => text).join("")).join("\n");
}

export function indent({ depth }: Line): string {
  return INDENT.repeat(Math.min(depth, INDENTS_COUNT));
}

class Layout {
  readonly #done: Line[] = [];
  readonly #open: ("[" | "{")[] = [];
  #at = 0;
  #tokens: Token[] = [];

  constructor(private readonly text: string) {}

  lines(): Line[] {
    this.#skip();
    this.#value();
    while (this.#open.length > 0) this.#behindValue();
    if (this.#at < this.text.length) this.#wrong("There is something behind the value");
    this.#endLine();
    return this.#done;
  }

  #value(): void {
    let mark = this.text[this.#at];
    while (mark === "{" || mark === "[") {
      if (!this.#enter(mark)) return;
      mark = this.text[this.#at];
    }
    if (mark === '"') this.#string("string");
    else if (!this.#match(NUMBER, "number") && !this.#match(WORD, "word")) {
      this.#wrong(mark === undefined ? "A value is missing" : "This is no value");
    }
    this.#skip();
  }

  /** Up to the first value in it; false if it was empty, and is over. */
  #enter(mark: "[" | "{"): boolean {
    this.#take(mark);
    this.#skip();
    if (this.text[this.#at] === CLOSE[mark]) {
      this.#take(CLOSE[mark]);
      this.#skip();
      return false;
    }
    this.#endLine();
    this.#open.push(mark);
    if (mark === "{") this.#name();
    return true;
  }

  #behindValue(): void {
    const inside = this.#open.at(-1) ?? "[";
    const next = this.text[this.#at];
    if (next === ",") {
      this.#take(",");
      this.#endLine();
      this.#skip();
      if (inside === "{") this.#name();
      this.#value();
      return;
    }
    const close = CLOSE[inside];
    if (next !== close) this.#wrong(`A comma or ${close} is missing`);
    this.#endLine();
    this.#open.pop();
    this.#take(close);
    this.#skip();
  }

  #name(): void {
    if (this.text[this.#at] !== '"') this.#wrong('A name in " is missing');
    this.#string("name");
    this.#skip();
    if (this.text[this.#at] !== ":") this.#wrong("A colon is missing");
    this.#at += 1;
    this.#tokens.push({ kind: "mark", text: ": " });
    this.#skip();
  }

  #string(kind: "name" | "string"): void {
    let end = 0;
    try {
      end = stringEnd(this.text, this.#at);
    } catch {
      this.#wrong("This string has no end");
    }
    const text = this.text.slice(this.#at, end);
    if (BAD_STRING.test(text.replace(NO_PAIRS, ""))) this.#wrong("This is no string of JSON");
    this.#at = end;
    this.#tokens.push({ kind, text });
  }

  #match(pattern: RegExp, kind: Token["kind"]): boolean {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (!found) return false;
    this.#at = pattern.lastIndex;
    this.#tokens.push({ kind, text: found[0] });
    return true;
  }

  #take(text: string): void {
    this.#at += text.length;
    this.#tokens.push({ kind: "mark", text });
  }

  #skip(): void {
    BLANK.lastIndex = this.#at;
    BLANK.exec(this.text);
    this.#at = BLANK.lastIndex;
  }

  #endLine(): void {
    this.#done.push({ depth: this.#open.length, tokens: this.#tokens });
    this.#tokens = [];
  }

  #wrong(what: string): never {
    const before = this.text.slice(0, this.#at).split("\n");
    throw new JsonProblem(what, before.length, (before.at(-1)?.length ?? 0) + 1);
  }
}
