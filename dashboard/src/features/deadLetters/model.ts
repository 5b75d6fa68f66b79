// Which dead letters are meant: as it stands in the address, as the API is asked, and in words.

import { foreign } from "@/components/foreign";
import "@/api/withoutEval";

import { z } from "zod";
import type { DeadLetterGroup } from "@/api/schema";
import { count } from "@/components/format";
import type { Act } from "@/features/deadLetters/acts";

// However long: what the server refuses is said to be refused, and is not the same as no filter.
const text = z.coerce.string().optional();
const SINCE_S = { "1h": 3_600, "24h": 86_400, "7d": 604_800 } as const;
export type Since = keyof typeof SINCE_S;
export const SINCES = Object.keys(SINCE_S) as Since[];

/** Of the page. `subscription` may be empty: those of subscribers without one. */
export const LettersSearch = z.object({
  job: text,
  letter: text,
  q: text,
  reason: text,
  show: z.enum(["open", "redriven", "all"]).default("open").catch("open"),
  since: z.enum(["1h", "24h", "7d"]).optional().catch("1h"),
  subscription: text,
  topic: text,
});
export type LettersSearch = z.infer<typeof LettersSearch>;
export const LETTERS_DEFAULTS = { show: "open" } as const;

/** As the API takes it, in a query and in a body. */
export interface Which {
  readonly from_time?: string;
  readonly q?: string;
  readonly reason?: string;
  readonly redriven?: boolean;
  readonly subscription?: string;
  readonly topic?: string;
}

/** For whom a job is: those that match, or those that were chosen one by one. */
export type Meant = Which | Chosen;

export interface Chosen {
  readonly ids: readonly string[];
  readonly topic?: string;
}

/** What one request may name. */
export const CHOSEN_MAX_COUNT = 1_000;

/** A key for some topics has to name the one that they are of. */
export function chosenOf(ids: readonly string[], { topic }: Partial<LettersSearch>): Chosen {
  return { ids, ...(topic && { topic }) };
}

export function whichOf(search: Partial<LettersSearch>, now: number): Which {
  const { q, reason, show = "open", since, subscription, topic } = search;
  return {
    ...(since && { from_time: new Date(now - SINCE_S[since] * 1_000).toISOString() }),
    ...(q && { q }),
    ...(reason !== undefined && { reason }),
    ...(show !== "all" && { redriven: show === "redriven" }),
    ...(subscription !== undefined && { subscription }),
    ...(topic && { topic }),
  };
}

export type FilterName = "q" | "reason" | "since" | "subscription" | "topic";

export interface Chip {
  readonly name: FilterName;
  readonly text: string;
}

// What is longer than any name is cut in a sentence.
const SAID_CHARS = 255;

const said = (text: string) =>
  foreign(text.length > SAID_CHARS ? `${text.slice(0, SAID_CHARS)}…` : text);

/** The filters that hide something, but for what `show` says. */
export function chips(search: Partial<LettersSearch>): Chip[] {
  const { q, reason, since, subscription, topic } = search;
  return [
    ...(q ? [{ name: "q", text: `with “${said(q)}”` } as const] : []),
    ...(topic ? [{ name: "topic", text: `of topic ${said(topic)}` } as const] : []),
    ...(subscription === undefined
      ? []
      : [{ name: "subscription", text: subscriptionText(subscription) } as const]),
    ...(reason === undefined ? [] : [{ name: "reason", text: `reason: ${said(reason)}` } as const]),
    ...(since ? [{ name: "since", text: `died in the last ${since}` } as const] : []),
  ];
}

function subscriptionText(name: string): string {
  return name === ""
    ? "of subscribers without a durable subscription"
    : `of subscription ${foreign(name)}`;
}

/** Which are meant, for a dialog: the whole sentence. */
export function described(search: Partial<LettersSearch>): string {
  const redriven = search.show === "redriven" ? ["that were redriven"] : [];
  const parts = [...redriven, ...chips(search).map((chip) => chip.text)];
  return parts.length === 0 ? "all dead letters" : `dead letters ${parts.join(", ")}`;
}

/** Those that match, as a job takes them; null if it takes none of them. A redrive takes only those that were not
 * redriven, and has no filter for that. */
export function takenBy(act: Act, search: Partial<LettersSearch>, now: number): Which | null {
  const { redriven, ...which } = whichOf(search, now);
  if (act === "redrive") return redriven ? null : which;
  return { ...which, ...(redriven !== undefined && { redriven }) };
}

/** Groups of several pages, each once, the largest first. */
export function merged(pages: readonly (readonly DeadLetterGroup[])[]): DeadLetterGroup[] {
  const found = new Map<string, DeadLetterGroup>();
  for (const group of pages.flat()) {
    const key = JSON.stringify([group.topic, group.reason]);
    const newer = found.get(key);
    found.set(key, newer ? together(newer, group) : group);
  }
  return [...found.values()].sort((one, other) => other.count - one.count);
}

function together(newer: DeadLetterGroup, older: DeadLetterGroup): DeadLetterGroup {
  const [first] = [newer.first_died_at, older.first_died_at].sort();
  const last = [newer.last_died_at, older.last_died_at].sort().at(-1);
  return {
    ...newer,
    count: newer.count + older.count,
    first_died_at: first ?? newer.first_died_at,
    last_died_at: last ?? newer.last_died_at,
    redriven_count: newer.redriven_count + older.redriven_count,
  };
}

const PLAIN = /^(?:\d+\.?\d*|\.\d+)$/;

/** A plain number from `least` to `most`; null if that is not what was typed. */
export function within(typed: string, least: number, most: number): number | null {
  const value = PLAIN.test(typed.trim()) ? Number(typed) : Number.NaN;
  return value >= least && value <= most ? value : null;
}

/** The same of whole ones, from 1. */
export function wholeWithin(typed: string, most: number): number | null {
  const value = within(typed, 1, most);
  return Number.isInteger(value) ? value : null;
}

/** `1 dead letter`, `1,204 dead letters`. */
export function letters(amount: number): string {
  return `${count(amount)} dead ${amount === 1 ? "letter" : "letters"}`;
}
