import { describe, expect, it } from "vitest";
import { RING_COUNT, SHOWN_PER_S, Tail } from "@/live/tail";

function run(tail: Tail<number>, perS: number, seconds: number, from = 0): number {
  for (let at = 0; at < perS * seconds; at += 1) {
    if (tail.admits(from + (at * 1_000) / perS)) tail.add(at);
  }
  return from + seconds * 1_000;
}

describe("a tail", () => {
  it("shows all that a slow stream has", () => {
    const tail = new Tail<number>();
    const now = run(tail, 100, 3);
    expect([tail.seenCount, tail.shownCount]).toEqual([300, 300]);
    expect(tail.rates(now)).toEqual({ seenPerS: 100, shownPerS: 100 });
    expect(tail.newest().slice(0, 3)).toEqual([299, 298, 297]);
  });

  it("samples a fast one evenly, says how much, and keeps no more than its bound", () => {
    const tail = new Tail<number>();
    const now = run(tail, 5_000, 60);
    expect(tail.seenCount).toBe(300_000);
    expect(tail.rates(now).seenPerS).toBe(5_000);
    expect(Math.abs(tail.rates(now).shownPerS - SHOWN_PER_S)).toBeLessThanOrEqual(1);
    const rows = tail.newest();
    expect(rows).toHaveLength(RING_COUNT);
    const steps = rows.slice(1).map((row, at) => (rows[at] ?? 0) - row);
    expect(Math.max(...steps)).toBeLessThanOrEqual(26);
  });

  it("shows never more than it may in a second, also after it was quiet, and then evenly", () => {
    const tail = new Tail<number>();
    let now = run(tail, 1, 3);
    const shown = [];
    for (let second = 0; second < 20; second += 1) {
      now = run(tail, 300, 1, now);
      shown.push(tail.rates(now).shownPerS);
    }
    expect(Math.max(...shown)).toBe(SHOWN_PER_S);
    expect(Math.min(...shown)).toBeGreaterThanOrEqual(SHOWN_PER_S - 1);
    const steps = tail.newest().map((row, at, rows) => row - (rows[at + 1] ?? row));
    expect(Math.max(...steps.filter((step) => step > 0))).toBeLessThanOrEqual(2);
  });

  it("that has gone quiet says so", () => {
    const tail = new Tail<number>();
    const now = run(tail, 50, 2);
    expect(tail.rates(now + 5_000)).toEqual({ seenPerS: 0, shownPerS: 0 });
  });

  it("may be cleared", () => {
    const tail = new Tail<number>();
    run(tail, 10, 1);
    tail.clear();
    expect([tail.newest(), tail.seenCount]).toEqual([[], 0]);
  });
});
