// How far a node is in leaving the others, or in coming back, in words.

import { counted } from "@/components/format";

export interface Underway {
  readonly connections: number | null;
  readonly owned_subscriptions: number | null;
  readonly phase?: string | null | undefined;
  readonly state: string;
}

// Phases of the API, as what happens in them.
const PHASES: Readonly<Record<string, string>> = {
  alone: "no other node is up, so that it goes on",
  closing: "its connections are told to come back elsewhere",
  handing_over: "its subscriptions go to the others",
  lingering: "load balancers are given time to notice",
  returning: "the others are told",
  telling: "the others are told",
};

/** Whether it is what it was told to become. A node that does not say how far it is counts by its state. */
export function isThere({ phase, state }: Underway, isDraining: boolean): boolean {
  if (state === "down") return isDraining;
  if (isDraining) return phase == null ? false : phase === "drained";
  return phase == null ? state === "up" : phase === "serving";
}

export function progressText(id: string, node: Underway, isDraining: boolean): string {
  if (node.state === "down") return `${id} is down.`;
  const rest = left(node);
  if (!isThere(node, isDraining)) {
    const doing = PHASES[node.phase ?? ""];
    const now = isDraining ? "is draining" : "comes back";
    return `${id} ${now}${doing ? `: ${doing}` : ""}.${rest}`;
  }
  if (!isDraining) return `Done: ${id} serves again.${rest}`;
  return `Done: ${id} is drained, and may be stopped or told to serve again.${rest}`;
}

function left({ connections, owned_subscriptions }: Underway): string {
  if (connections === null || owned_subscriptions === null) {
    return " What it still has is not known: it does not answer.";
  }
  const subscriptions = counted(owned_subscriptions, "durable subscription");
  return ` It has ${subscriptions} and ${counted(connections, "open connection")}.`;
}
