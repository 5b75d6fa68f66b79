// What became of a message, in words.

import type { DeliveryAnswer } from "@/api/schema";
import { foreign } from "@/components/foreign";
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

export function meaning(delivery: DeliveryAnswer): string {
  const { attempts, last_reason, redriven_at, state } = delivery;
  const isAcked = state === "acked" && redriven_at !== null;
  const parts = [isAcked ? "acked since, or passed over by a seek" : (MEANINGS[state] ?? state)];
  if (attempts > 0) parts.push(`${count(attempts)} ${attempts === 1 ? "attempt" : "attempts"}`);
  if (last_reason !== null) parts.push(`last because of “${foreign(last_reason)}”`);
  return parts.join("; ");
}

/** Whether its next attempt is due and nobody has taken it. `now`: by the server's clock. */
export function isOverdue({ next_attempt_at }: DeliveryAnswer, now: number): boolean {
  return next_attempt_at !== null && Date.parse(next_attempt_at) <= now;
}

export interface Passed {
  readonly at: string;
  readonly what: string;
}

/** What is known of when it was, the earliest first. Of acks no time is kept. */
export function passed({ died_at, redriven_at }: DeliveryAnswer): Passed[] {
  return [
    ...(died_at === null ? [] : [{ at: died_at, what: "Dead-lettered" }]),
    ...(redriven_at === null ? [] : [{ at: redriven_at, what: "Redriven" }]),
  ];
}

export function inOrder(deliveries: readonly DeliveryAnswer[]): DeliveryAnswer[] {
  const place = ({ state }: DeliveryAnswer) => ORDER.indexOf(state) + 1 || ORDER.length + 1;
  return [...deliveries].sort(
    (one, other) => place(one) - place(other) || one.subscription.localeCompare(other.subscription),
  );
}
