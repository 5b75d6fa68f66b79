import { describe, expect, it } from "vitest";
import { joined, missingCount } from "@/services/history";
import { namesTogether } from "@/services/stats";
import { history } from "@/test/factories";

const HOUR = { count: 720, intervalS: 5 } as const;
const { samples } = history([1, 2, 3, 4]);
const last = Date.parse(samples.at(-1)?.at ?? "");

describe("a history that goes on", () => {
  it("is asked only for what is missing", () => {
    expect(missingCount([], HOUR, last)).toBeNull();
    expect(missingCount(samples, HOUR, last + 5_000)).toBe(3);
    expect(missingCount(samples, HOUR, last + 3_600_000)).toBeNull();
    // The clock of this machine is behind.
    expect(missingCount(samples, HOUR, last - 60_000)).toBeNull();
  });

  it("has each point once, the newer of two, and no more than its bound", () => {
    const newer = history([9, 8, 7]).samples.map((sample, at) => ({
      ...sample,
      at: new Date(last + (at - 1) * 5_000 - 40).toISOString(),
    }));
    const backlogs = joined(samples, newer, HOUR).map(({ backlog }) => backlog);
    expect(backlogs).toEqual([1, 2, 9, 8, 7]);
    expect(joined(samples, newer, { count: 2, intervalS: 5 }).map((one) => one.backlog)).toEqual([
      8, 7,
    ]);
    expect(joined(samples, [], HOUR)).toBe(samples);
  });
});

describe("names that are asked for", () => {
  it("go together as far as one request may have them, each once and in their order", () => {
    const names = Array.from({ length: 120 }, (_, at) => `${"x".repeat((at * 37) % 200)}${at}`);
    const groups = namesTogether(names);
    expect(groups.flat()).toEqual(names);
    for (const group of groups) {
      expect(group.length).toBeLessThanOrEqual(50);
      expect(group.join(",").length).toBeLessThanOrEqual(2_000);
    }
    expect(namesTogether([])).toEqual([]);
    expect(namesTogether(["a", "b"])).toEqual([["a", "b"]]);
  });
});
