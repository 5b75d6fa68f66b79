import { describe, expect, it } from "vitest";
import type { Moved } from "@/api/schema";
import {
  changes,
  gapsWords,
  gapWords,
  hasGrown,
  meaning,
  nameProblem,
  parseSetting,
  patternProblem,
  placeWords,
  SETTINGS,
  type Setting,
  seekVerb,
  settingText,
  startOf,
  stateOf,
  type Texts,
} from "@/features/subscriptions/model";
import { subscription } from "@/test/factories";

const plan = (again: number, skipped: number): Moved => ({
  again_count: again,
  dry_run: true,
  gaps: [],
  lag: 0,
  more_gaps: false,
  more_topics: false,
  skipped_count: skipped,
  topics: [],
});

describe("what may be typed", () => {
  it.each(["a", "billing.invoices", "-", "a..b"])("%s is a name", (name) => {
    expect(nameProblem(name)).toBeNull();
  });

  it.each(["", ".", "..", "a b", "a/b", "x".repeat(256)])("%s is none", (name) => {
    expect(nameProblem(name)).not.toBeNull();
  });

  it.each(["orders", "orders.*", "*.created", "orders.>", ">", "*"])("%s is a pattern", (text) => {
    expect(patternProblem(text)).toBeNull();
  });

  it.each(["", "orders.", "a.>.b", "or*", "a b", ".>"])("%s is none", (text) => {
    expect(patternProblem(text)).not.toBeNull();
  });

  it.each<[Setting, string, number | null]>([
    ["ack_wait_ms", "30 s", 30_000],
    ["ack_wait_ms", "1.5s", 1_500],
    ["ack_wait_ms", "250", 250],
    ["max_ack_wait_ms", "2 min", 120_000],
    ["max_attempts", "100", 100],
    ["max_lost", "", null],
  ])("%s typed as %s is %s", (setting, typed, value) => {
    expect(parseSetting(setting, typed)).toEqual({ value });
  });

  it.each<[Setting, string]>([
    ["ack_wait_ms", "9"],
    ["ack_wait_ms", "2 h"],
    ["max_attempts", "0"],
    ["max_attempts", "2.5"],
    ["max_attempts", "5 s"],
    ["max_in_flight", ""],
    ["max_lost", "many"],
  ])("%s is not understood as %s", (setting, typed) => {
    expect(parseSetting(setting, typed)).toHaveProperty("problem");
  });

  it("comes back as it would be typed", () => {
    const now = subscription({ ack_wait_ms: 1_500, max_ack_wait_ms: 3_600_000, max_lost: null });
    const texts = Object.fromEntries(
      SETTINGS.map(({ setting }) => [setting, settingText(setting, now[setting])]),
    ) as Texts;
    expect(texts.ack_wait_ms).toBe("1500 ms");
    expect(texts.max_ack_wait_ms).toBe("1 h");
    expect(changes(texts, now)).toEqual({});
    expect(changes({ ...texts, max_attempts: "9", max_lost: "3" }, now)).toEqual({
      max_attempts: 9,
      max_lost: 3,
    });
    expect(changes({ ...texts, max_attempts: "x" }, now)).toBeNull();
  });
});

const NOW = Date.parse("2026-11-30T10:00:00Z");

describe("a start", () => {
  it("is what the API takes", () => {
    expect(startOf("new", "", NOW)).toBe("new");
    expect(startOf("seq", " 12 ", NOW)).toEqual({ seq: 12 });
    expect(startOf("time", "2026-11-30T10:00:00Z", NOW)).toEqual({
      time: "2026-11-30T10:00:00.000Z",
    });
  });

  it("of so long ago is by the clock of the server", () => {
    expect(startOf("hour", "", NOW)).toEqual({ time: "2026-11-30T09:00:00.000Z" });
    expect(startOf("day", "", NOW)).toEqual({ time: "2026-11-29T10:00:00.000Z" });
  });

  it.each([
    ["seq", "0"],
    ["seq", "-1"],
    ["seq", "9007199254740993"],
    ["time", ""],
    ["time", "yesterday"],
  ] as const)("%s is none as %s", (kind, typed) => {
    expect(startOf(kind, typed, NOW)).toHaveProperty("problem");
  });
});

describe("what a seek means", () => {
  it("is said with what comes again and what is skipped, also on the button", () => {
    expect(meaning(plan(0, 0))).toBe("Nothing comes again, and nothing is skipped.");
    expect(meaning(plan(12_400, 0))).toBe("12,400 messages that are settled come again.");
    expect(meaning(plan(1, 1))).toBe(
      "1 message that is settled comes again, and 1 message that is not settled will never be delivered.",
    );
    expect(meaning({ ...plan(12_400, 0), dead_again_count: 43 })).toMatch(
      /come again\. Dead letters among them, which count as redriven then: 43\.$/,
    );
    expect(meaning({ ...plan(12_400, 0), dead_again_count: 10_000 })).toMatch(/at least 10,000\.$/);
    expect(seekVerb(plan(12_400, 3))).toBe("Seek, and deliver 12,400 again");
    expect(seekVerb(plan(0, 3))).toBe("Seek, and skip 3");
    expect(seekVerb(plan(0, 0))).toBe("Seek");
  });
});

it("a state is a word: the worst that is so", () => {
  const word = (change: Parameters<typeof subscription>[0]) => stateOf(subscription(change)).word;
  expect(word({ full: true, paused: true })).toBe("paused");
  expect(word({ full: true })).toBe("full");
  expect(word({ subscribers: 2 })).toBe("active");
  expect(word({ lag: 3, subscribers: 0 })).toBe("idle");
  expect(stateOf(subscription({ lag: 3, subscribers: 0 })).tone).toBe("warn");
  expect(stateOf(subscription({ subscribers: 0 })).tone).toBe("idle");
});

describe("what a seek finds", () => {
  it("says of a number whether it was removed, and what comes instead, or is not published yet", () => {
    expect(placeWords("not_published", null)).toBe("not published yet");
    expect(placeWords(undefined, null)).toBe("");
    expect(placeWords("removed", null)).toBe("removed");
    expect(placeWords("removed", 1_201)).toBe("removed; the next that is stored is #1,201,");
  });

  it("speaks of a log that has lost something only if it was published", () => {
    const gap = { epoch: "e", from_seq: 6, reason: "log_lost", to_seq: 8, topic: "orders" };
    expect(gapWords({ ...gap, was_published: false })).toBe(
      "“orders” has only 5 so far: #6 to #8 were not published yet. What is published next comes first.",
    );
    expect(gapWords({ ...gap, was_published: true })).toBe(
      "#6 to #8 of “orders” were published, and its log has lost them.",
    );
    expect(gapWords({ ...gap, reason: "epoch_changed", to_seq: null })).toBe(
      "“orders” was deleted, made anew or restored since: #6 and what follows of that one will not come.",
    );
    const removed = { ...gap, reason: "retention", topic: "b" };
    const other = { ...plan(1, 0), gaps: [gap, { ...gap, topic: "c" }, removed] };
    expect(gapsWords(other)).toBe(
      `${gapWords(gap)} ${gapWords(removed)} Like that in other topics too: 1.`,
    );
    expect(gapsWords({ ...other, gaps: [removed], more_gaps: true })).toMatch(/too: many\.$/);
    expect(gapsWords(plan(1, 0))).toBe("");
  });
});

describe("a seek that means more by now than was seen", () => {
  it.each([
    [plan(20, 0), plan(20, 0), false],
    [plan(20, 0), plan(25, 0), false],
    [plan(20, 0), plan(26, 0), true],
    [plan(0, 0), plan(1, 0), true],
    [plan(900, 0), plan(1_001, 0), true],
    [plan(0, 20), plan(0, 3_020), true],
    [plan(20, 20), plan(19, 20), false],
  ])("is told before it is done: %#", (seen, now, isMore) => {
    expect(hasGrown(now, seen, false)).toBe(isMore);
  });

  it("is done by who is told that it grows, but for what wants the name typed", () => {
    expect(hasGrown(plan(0, 400), plan(0, 20), true)).toBe(false);
    expect(hasGrown(plan(0, 1_001), plan(0, 20), true)).toBe(true);
    expect(hasGrown(plan(0, 4_001), plan(0, 3_020), true)).toBe(false);
  });
});
