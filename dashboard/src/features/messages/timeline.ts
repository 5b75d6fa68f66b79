// What became of a message, in words.

import type { DeliveryAnswer } from "@/api/schema";
import { count } from "@/components/format";

const MEANINGS: Readonly<Record<string, string>> = {
  acked: "acked, or it lies before where the subscription began, or to which a seek has moved it",
  dead: "a dead letter",
  discarded: "was a dead letter, which somebody discarded",
  dropped: "was a dead letter, which was dropped: there were too many, or it was too old",
  in_flight: "a subscriber has it",
  pending: "not delivered yet",
  retrying: "waits to be handed out again",
  settled: "settled, too long ago to tell how",
};

// What needs somebody first.
const ORDER = ["dead", "retrying", "in_flight", "pending"];

/** Its name. Where a subscription has its place behind a message nobody knows whether that was ever acked. */
export function stateName({ state }: Pick<DeliveryAnswer, "state">): string {
  return state === "acked" ? "settled" : state.replaceAll("_", " ");
}

export function meaning({ attempts, last_reason, state }: DeliveryAnswer): string {
  const parts = [MEANINGS[state] ?? state];
  if (attempts > 0) parts.push(`${count(attempts)} ${attempts === 1 ? "attempt" : "attempts"}`);
  if (last_reason !== null) parts.push(`last because of “${last_reason}”`);
  return parts.join("; ");
}

export function inOrder(deliveries: readonly DeliveryAnswer[]): DeliveryAnswer[] {
  const place = ({ state }: DeliveryAnswer) => ORDER.indexOf(state) + 1 || ORDER.length + 1;
  return [...deliveries].sort(
    (one, other) => place(one) - place(other) || one.subscription.localeCompare(other.subscription),
  );
}
