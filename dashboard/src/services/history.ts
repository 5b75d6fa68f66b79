// The server's history, of which only what is missing is asked for.

import type { History } from "@/api/schema";

export interface Reach {
  /** Between two points, which the server has. */
  readonly intervalS: 1 | 5 | 60;
  readonly count: number;
}

// A point may be told a second time, a little earlier or later.
const SAME_PART = 0.5;

/** What is known with what has come since, and no more than so many. */
export function joined(
  known: History["samples"],
  newer: History["samples"],
  { count, intervalS }: Reach,
): History["samples"] {
  const first = newer[0];
  if (first === undefined) return known;
  const from = Date.parse(first.at) - intervalS * 1_000 * SAME_PART;
  return [...known.filter((sample) => Date.parse(sample.at) < from), ...newer].slice(-count);
}

/** How many points to ask for, if the last one is known; null: all of them. */
export function missingCount(
  known: History["samples"],
  { count, intervalS }: Reach,
  nowMs: number,
): number | null {
  const last = known.at(-1);
  if (last === undefined) return null;
  // Two more: clocks may differ a little, and the newest may have come to be whole meanwhile.
  const missing = Math.ceil((nowMs - Date.parse(last.at)) / 1_000 / intervalS) + 2;
  return missing < 1 || missing >= count ? null : missing;
}
