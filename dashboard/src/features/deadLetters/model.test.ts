import { describe, expect, it } from "vitest";
import type { DeadLetterGroup } from "@/api/schema";
import {
  chips,
  described,
  LettersSearch,
  letters,
  merged,
  takenBy,
  whichOf,
  wholeWithin,
  within,
} from "@/features/deadLetters/model";

const NOW = Date.parse("2026-11-30T10:00:00.000Z");

describe("which dead letters are meant", () => {
  it("are those that were not redriven, if nothing else is said", () => {
    expect(whichOf(LettersSearch.parse({}), NOW)).toEqual({ redriven: false });
    expect(whichOf(LettersSearch.parse({ show: "all" }), NOW)).toEqual({});
    expect(whichOf(LettersSearch.parse({ show: "redriven" }), NOW)).toEqual({ redriven: true });
  });

  it("is asked as the API takes it", () => {
    const search = LettersSearch.parse({
      q: 42,
      reason: "",
      since: "24h",
      subscription: "",
      topic: "orders",
    });
    expect(whichOf(search, NOW)).toEqual({
      from_time: "2026-11-29T10:00:00.000Z",
      q: "42",
      reason: "",
      redriven: false,
      subscription: "",
      topic: "orders",
    });
  });

  it("is nothing worse for an address that says nonsense", () => {
    const topic = "t".repeat(2_000);
    expect(LettersSearch.parse({ show: "x", since: "y", topic })).toMatchObject({
      show: "open",
      since: "1h",
      topic,
    });
  });

  it("is said in words, each filter with its own", () => {
    expect(described({})).toBe("all dead letters");
    expect(described({ show: "redriven" })).toBe("dead letters that were redriven");
    expect(described({ reason: "no funds", subscription: "billing" })).toBe(
      "dead letters of subscription billing, reason: no funds",
    );
    expect(chips({ subscription: "" })).toEqual([
      { name: "subscription", text: "of subscribers without a durable subscription" },
    ]);
  });
});

describe("groups of several pages", () => {
  const group = (change: Partial<DeadLetterGroup>): DeadLetterGroup => ({
    count: 1,
    first_died_at: "2026-11-30T09:00:00.000Z",
    last_died_at: "2026-11-30T09:30:00.000Z",
    reason: "r",
    redriven_count: 0,
    sample_id: "newest",
    topic: "t",
    ...change,
  });

  it("are one each, with the sums, the earliest and the latest, the largest first", () => {
    const older = group({
      count: 5,
      first_died_at: "2026-11-30T08:00:00.000Z",
      last_died_at: "2026-11-30T08:30:00.000Z",
      redriven_count: 2,
      sample_id: "older",
    });
    const found = merged([[group({}), group({ count: 3, topic: "u" })], [older]]);
    expect(found).toHaveLength(2);
    expect(found[0]).toEqual({
      count: 6,
      first_died_at: "2026-11-30T08:00:00.000Z",
      last_died_at: "2026-11-30T09:30:00.000Z",
      reason: "r",
      redriven_count: 2,
      sample_id: "newest",
      topic: "t",
    });
  });

  it("do not meet because their names run together", () => {
    expect(
      merged([[group({ reason: "b c", topic: "a" }), group({ reason: "c", topic: "a b" })]]),
    ).toHaveLength(2);
  });
});

it("counts are said with their noun", () => {
  expect(letters(1)).toBe("1 dead letter");
  expect(letters(1_204)).toBe("1,204 dead letters");
});

it.each([
  ["50", 50],
  [" 0.01 ", 0.01],
  [".5", 0.5],
  ["10000", 10_000],
  ["10001", null],
  ["0.009", null],
  ["0x10", null],
  ["1e-300", null],
  ["1e2", null],
  ["-1", null],
  ["", null],
  ["Infinity", null],
])("a rate is a plain number that the server takes: %s", (typed, value) => {
  expect(within(typed, 0.01, 10_000)).toBe(value);
});

it("a job takes those that are shown, and of a redrive only those that were not redriven", () => {
  const of = { topic: "t" };
  expect(takenBy("redrive", { ...of, show: "redriven" }, 0)).toBeNull();
  expect(takenBy("redrive", { ...of, show: "open" }, 0)).toEqual(of);
  expect(takenBy("redrive", { ...of, show: "all" }, 0)).toEqual(of);
  expect(takenBy("discard", { ...of, show: "redriven" }, 0)).toEqual({ ...of, redriven: true });
  expect(takenBy("discard", { ...of, show: "all" }, 0)).toEqual(of);
});

it("so many are a whole number", () => {
  expect(["3", "2.5", "0", "0x3", "101"].map((typed) => wholeWithin(typed, 100))).toEqual([
    3,
    null,
    null,
    null,
    null,
  ]);
});
