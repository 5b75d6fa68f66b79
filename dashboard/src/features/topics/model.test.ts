import { describe, expect, it } from "vitest";
import {
  BOUNDS,
  boundText,
  kept,
  nameProblem,
  parseBound,
  storedCount,
} from "@/features/topics/model";
import { topic } from "@/test/factories";

const units = Object.fromEntries(BOUNDS.map(({ bound, units }) => [bound, units]));
const parse = (bound: string, text: string) => parseBound(text, units[bound] ?? {});

describe("a topic's name", () => {
  it.each(["a", "orders.created", "A-1_b.c", "x".repeat(255)])("may be %s", (name) => {
    expect(nameProblem(name)).toBeNull();
  });

  it.each(["", ".", "a.", ".a", "a..b", "a b", "ä", "a*", "x".repeat(256)])("is not %s", (name) => {
    expect(nameProblem(name)).not.toBeNull();
  });
});

describe("a bound", () => {
  it.each([
    ["max_age_s", "7 d", 604_800],
    ["max_age_s", "90s", 90],
    ["max_age_s", "1.5 H", 5_400],
    ["max_age_s", "30", 30],
    ["max_messages", " 100000 ", 100_000],
    ["max_bytes", "512 MiB", 536_870_912],
    ["max_bytes", "", null],
  ])("%s typed as %s is %s", (bound, text, value) => {
    expect(parse(bound, text)).toEqual({ value });
  });

  it.each([
    ["max_age_s", "7 weeks"],
    ["max_age_s", "-1"],
    ["max_age_s", "0"],
    ["max_messages", "5 d"],
    ["max_messages", "1e9"],
    ["max_bytes", "9007199254740993"],
    ["max_bytes", "many"],
  ])("%s is not understood as %s", (bound, text) => {
    expect(parse(bound, text)).toHaveProperty("problem");
  });

  it.each([1, 59, 60, 90, 3_600, 86_400, 604_800, 1024, 1536, 1024 ** 3, 2 ** 53 - 1, 2 ** 53])(
    "%s is shown so that it is read back as the same",
    (value) => {
      for (const { bound } of BOUNDS) {
        expect(parse(bound, boundText(bound, value))).toEqual({ value });
      }
    },
  );
});

describe("a topic", () => {
  it("says what it keeps", () => {
    expect(kept({ max_age_s: 604_800, max_bytes: 1024 ** 3, max_messages: null })).toBe(
      "7 d, 1.0 GiB",
    );
    expect(kept({ max_age_s: null, max_bytes: null, max_messages: null })).toBe(
      "No bound: keeps everything",
    );
  });

  it("has as many messages as are between the first and the last", () => {
    expect(storedCount(topic({ first_seq: 21, last_seq: 1520 }))).toBe(1_500);
    expect(storedCount(topic({ first_seq: 1, last_seq: 0 }))).toBe(0);
  });
});
