// What a page keeps of a stream that may be faster than anybody reads: a sample that is bounded, and counts of the rest.

import { Ring } from "@/live/ring";

/** Rows that are kept. */
export const RING_COUNT = 1_000;
/** Messages a second that become rows; the rest is counted. */
export const SHOWN_PER_S = 200;

const SECOND_MS = 1_000;

export interface TailRates {
  readonly seenPerS: number;
  readonly shownPerS: number;
}

/** The newest of what came, sampled. `now` is in milliseconds and never goes back. */
export class Tail<Row> {
  readonly #rows: Ring<Row>;
  #allowance = SHOWN_PER_S;
  #at = Number.NEGATIVE_INFINITY;
  #secondAt = Number.NEGATIVE_INFINITY;
  #seen = { before: 0, now: 0 };
  #shown = { before: 0, now: 0 };
  seenCount = 0;
  shownCount = 0;

  constructor(
    mostCount = RING_COUNT,
    private readonly perS = SHOWN_PER_S,
  ) {
    this.#rows = new Ring(mostCount);
    this.#allowance = perS;
  }

  /** Whether a message that comes now is shown: at most so many are in a second. */
  admits(now: number): boolean {
    this.#earn(now);
    this.seenCount += 1;
    this.#seen.now += 1;
    if (this.#allowance < 1) return false;
    this.#allowance -= 1;
    this.shownCount += 1;
    this.#shown.now += 1;
    return true;
  }

  /** Whether one that comes now is only counted. */
  isFull(now: number): boolean {
    this.#earn(now);
    return this.#allowance < 1;
  }

  add(row: Row): void {
    this.#rows.add(row);
  }

  /** The newest first. */
  newest(): Row[] {
    return this.#rows.newest();
  }

  clear(): void {
    this.#rows.clear();
    this.seenCount = 0;
    this.shownCount = 0;
  }

  /** Of the last whole second. */
  rates(now: number): TailRates {
    this.#turn(now);
    return { seenPerS: this.#seen.before, shownPerS: this.#shown.before };
  }

  #earn(now: number): void {
    this.#turn(now);
    const earned = ((now - this.#at) / SECOND_MS) * this.perS;
    this.#allowance = Math.min(this.perS, this.#allowance + (Number.isFinite(earned) ? earned : 0));
    this.#at = now;
    // What was saved up while little came shows a burst at once, but never more than this in a second that is counted; what
    // is left of it then would have each second begin with a burst.
    if (this.#shown.now >= this.perS) this.#allowance = 0;
  }

  #turn(now: number): void {
    const passed = Math.floor((now - this.#secondAt) / SECOND_MS);
    if (passed < 1) return;
    const isNext = passed === 1;
    this.#seen = { before: isNext ? this.#seen.now : 0, now: 0 };
    this.#shown = { before: isNext ? this.#shown.now : 0, now: 0 };
    this.#secondAt = Number.isFinite(passed) ? this.#secondAt + passed * SECOND_MS : now;
  }
}
