import { describe, expect, it } from "vitest";
import { RANGES, reachOf, shownSpan, spanOf } from "@/features/overview/ranges";

const NOW_S = 1_800_000_000;

describe("the time that charts show", () => {
  it("ends now, unless a part of it was marked", () => {
    expect(shownSpan("5m", null, NOW_S)).toEqual({ from: NOW_S - 300, to: NOW_S });
    const span = { from: NOW_S - 100, to: NOW_S - 50 };
    expect(shownSpan("24h", span, NOW_S)).toBe(span);
  });

  it("is not what an address says that nobody can have marked", () => {
    expect(spanOf(10, undefined)).toBeNull();
    expect(spanOf(10, 12)).toBeNull();
    expect(spanOf(20, 10)).toBeNull();
    expect(spanOf(10, 20)).toEqual({ from: 10, to: 20 });
  });

  it("is asked for as finely as the server has it", () => {
    expect(reachOf("1h", null, NOW_S)).toBe(RANGES["1h"]);
    expect(reachOf("24h", { from: NOW_S - 200, to: NOW_S }, NOW_S).intervalS).toBe(1);
    expect(reachOf("24h", { from: NOW_S - 3_000, to: NOW_S - 2_000 }, NOW_S).intervalS).toBe(5);
    expect(reachOf("5m", { from: NOW_S - 9_000, to: NOW_S }, NOW_S).intervalS).toBe(60);
    expect(reachOf("5m", { from: 0, to: NOW_S }, NOW_S).intervalS).toBe(60);
  });
});
