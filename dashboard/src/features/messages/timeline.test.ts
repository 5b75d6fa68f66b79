import { expect, it } from "vitest";
import { inOrder, isOverdue, meaning, passed, stateName } from "@/features/messages/timeline";

const delivery = (
  subscription: string,
  state: string,
  attempts = 0,
  reason: string | null = null,
) => ({
  attempts,
  died_at: null,
  last_reason: reason,
  next_attempt_at: null,
  redriven_at: null,
  state,
  subscription,
});

it("what became of a message is said in words", () => {
  expect(meaning(delivery("a", "pending"))).toBe("not delivered yet");
  expect(meaning(delivery("a", "retrying", 2, "no funds"))).toBe(
    "waits to be handed out again; 2 attempts; last because of “no funds”",
  );
  // The server has one word for both.
  expect(stateName(delivery("a", "acked"))).toBe("settled");
  expect(meaning(delivery("a", "acked"))).toContain("before where the subscription began");
  expect(stateName(delivery("a", "in_flight"))).toBe("in flight");
  expect(meaning(delivery("a", "of_tomorrow", 1))).toBe("of_tomorrow; 1 attempt");
});

it("a death, and that it was redriven since, are told in order", () => {
  const dead = { ...delivery("a", "dead", 5), died_at: "2026-11-30T10:00:00.000Z" };
  expect(passed(delivery("a", "acked"))).toEqual([]);
  expect(passed(dead).map(({ what }) => what)).toEqual(["Dead-lettered"]);
  const acked = { ...dead, redriven_at: "2026-11-30T10:05:00.000Z", state: "acked" };
  expect(passed(acked)).toEqual([
    { at: dead.died_at, what: "Dead-lettered" },
    { at: acked.redriven_at, what: "Redriven" },
  ]);
  expect(meaning(acked)).toContain("acked since");
});

it("an attempt whose time has come is due, not to come", () => {
  const at = "2026-11-30T10:00:00.000Z";
  const waits = { ...delivery("a", "retrying", 1), next_attempt_at: at };
  expect(isOverdue(waits, Date.parse(at) - 1)).toBe(false);
  expect(isOverdue(waits, Date.parse(at))).toBe(true);
  expect(isOverdue(delivery("a", "retrying", 1), Date.parse(at))).toBe(false);
});

it("what needs somebody comes first", () => {
  const all = [
    delivery("b", "acked"),
    delivery("a", "acked"),
    delivery("z", "dead"),
    delivery("y", "pending"),
  ];
  expect(inOrder(all).map((each) => each.subscription)).toEqual(["z", "y", "a", "b"]);
});
