import { expect, it } from "vitest";
import { inOrder, meaning, stateName } from "@/features/messages/timeline";

const delivery = (
  subscription: string,
  state: string,
  attempts = 0,
  reason: string | null = null,
) => ({
  attempts,
  last_reason: reason,
  next_attempt_at: null,
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

it("what needs somebody comes first", () => {
  const all = [
    delivery("b", "acked"),
    delivery("a", "acked"),
    delivery("z", "dead"),
    delivery("y", "pending"),
  ];
  expect(inOrder(all).map((each) => each.subscription)).toEqual(["z", "y", "a", "b"]);
});
