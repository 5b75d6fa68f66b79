// The ring as arcs, and what is to be said of a node.

import type { NodeAnswer, RingAnswer } from "@/api/schema";
import { type Tone, toneOf } from "@/components/stateColours";

/** A part of the ring: from and to are of 1, clockwise from the top; `node` is an index. */
export interface Arc {
  readonly from: number;
  readonly node: number;
  readonly to: number;
}

// A loop that is so late is busy, and one that is so late has more to do than it can.
const BUSY_S = 0.05;
const TOO_MUCH_S = 0.3;

/** Who has what, each with what lies before its place; neighbours of one node are one arc. */
export function places(ring: RingAnswer): Arc[] {
  const found: Arc[] = [];
  let from = 0;
  for (const pair of ring.places) {
    const [place = 0, node = 0] = pair;
    from = add(found, from, place / ring.size, node);
  }
  // Past the last place the ring begins anew.
  const first = ring.places[0]?.[1];
  if (first !== undefined) add(found, from, 1, first);
  return found;
}

function add(found: Arc[], from: number, to: number, node: number): number {
  const last = found.at(-1);
  if (to <= from) return from;
  if (last?.node === node) found[found.length - 1] = { ...last, to };
  else found.push({ from, node, to });
  return to;
}

/** How much each node has, one arc each. */
export function shares(ring: RingAnswer): Arc[] {
  let from = 0;
  return ring.nodes.map(({ share }, node) => {
    const arc = { from, node, to: Math.min(1, from + share) };
    from = arc.to;
    return arc;
  });
}

/** An arc of a circle around 0, for `d` of a path; all of it is two halves. */
export function path({ from, to }: Arc, radius: number): string {
  const middle = (from + to) / 2;
  const parts = [at(from, radius), at(middle, radius), at(to, radius)];
  const arc = `A${radius} ${radius} 0 0 1 `;
  return `M${parts.join(arc)}`;
}

/** Where on the circle that is: `x y`, to a hundredth. */
export function at(part: number, radius: number): string {
  const angle = part * 2 * Math.PI;
  const round = (value: number) => (Math.round(value * 100) / 100 || 0).toString();
  return `${round(radius * Math.sin(angle))} ${round(-radius * Math.cos(angle))}`;
}

export function lagTone(seconds: number): Tone {
  if (seconds >= TOO_MUCH_S) return "bad";
  return seconds >= BUSY_S ? "warn" : "ok";
}

/** Whether it lives, and the node that answers cannot reach it. */
export function isOutOfReach(node: NodeAnswer): boolean {
  return node.state !== "down" && node.unanswered != null;
}

/** Why a node cannot leave; null if it can. */
export function reasonAgainstDrain(node: NodeAnswer, nodes: readonly NodeAnswer[]): string | null {
  if (node.state === "down") return "It is down.";
  if (node.state === "draining") return null;
  if (node.lease_age_s === null) return "It has its log for itself: no other node could take over.";
  const others = nodes.filter((each) => each.id !== node.id && each.state === "up");
  return others.length > 0 ? null : "No other node is up that could take over.";
}

/** What a node is, in a word, to who looks: what the others say of one that does not answer is not enough. */
export function standing(node: NodeAnswer): readonly [word: string, tone: Tone] {
  if (isOutOfReach(node)) return ["out of reach", "bad"];
  if (node.phase === "drained") return ["drained", "paused"];
  return [node.state, toneOf(node.state)];
}

/** Why what only it knows is not known, on its own card: its name stands above. */
export const whyUnknown = ({ id, unanswered }: NodeAnswer): string | null =>
  unanswered?.replaceAll(`node ${id}`, "it") ?? null;

/** The place of each node of the ring among all that are known, drained ones too: it stays when one leaves the ring. */
export function numbers(ring: RingAnswer, known: readonly { readonly id: string }[]): number[] {
  const names = [...new Set([...known, ...ring.nodes].map(({ id }) => id))].sort();
  return ring.nodes.map(({ id }) => names.indexOf(id));
}

/** Of how many nodes each state is, for one line above the cards. */
export function counted(nodes: readonly NodeAnswer[]): string {
  const amounts = new Map<string, number>();
  for (const [state] of nodes.map(standing)) amounts.set(state, (amounts.get(state) ?? 0) + 1);
  return [...amounts].map(([state, amount]) => `${amount} ${state}`).join(", ");
}
