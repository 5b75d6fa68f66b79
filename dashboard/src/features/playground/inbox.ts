// What a subscription of the playground has got, and what was done with each.

import type { MessageFrame } from "@/live/frames";

export type Verb = "ack" | "nack" | "reject";
/** `out`: this page has it. `asked`: what was done is not recorded yet. `late`: it could not be done any more. */
export type ItemState = "acked" | "asked" | "auto" | "late" | "nacked" | "out" | "rejected";

export interface Item {
  readonly message: MessageFrame;
  readonly problem: string | null;
  readonly state: ItemState;
}

/** Of which are kept; what is out is bounded by the window besides. */
export const INBOX_COUNT = 500;

const DONE: Readonly<Record<Verb, ItemState>> = {
  ack: "acked",
  nack: "nacked",
  reject: "rejected",
};

export class Inbox {
  readonly #items = new Map<string, Item>();
  readonly #asked = new Map<string, { readonly id: string; readonly verb: Verb }>();
  #refCount = 0;

  /** One that comes again takes the place of what was before. */
  add(message: MessageFrame, isAuto: boolean): void {
    const id = idOf(message);
    this.#items.delete(id);
    this.#items.set(id, { message, problem: null, state: isAuto ? "auto" : "out" });
    if (this.#items.size <= INBOX_COUNT) return;
    const oldest = this.#items.keys().next();
    if (!oldest.done) this.#items.delete(oldest.value);
  }

  /** The frame that does it. */
  act({ message }: Item, verb: Verb): string {
    const ref = `act-${this.#refCount++}`;
    const { attempt, message_id, subscription } = message;
    this.#asked.set(ref, { id: idOf(message), verb });
    this.#change(idOf(message), { problem: null, state: "asked" });
    const named = subscription === undefined ? {} : { subscription };
    return JSON.stringify({ type: verb, message_id, attempt, ...named, ref });
  }

  /** Recorded; the message that needs nothing any more, if that is so. */
  done(ref: string): MessageFrame | null {
    const asked = this.#asked.get(ref);
    this.#asked.delete(ref);
    if (!asked) return null;
    this.#change(asked.id, { problem: null, state: DONE[asked.verb] });
    return asked.verb === "nack" ? null : (this.#items.get(asked.id)?.message ?? null);
  }

  refused(ref: string, problem: string): boolean {
    const asked = this.#asked.get(ref);
    this.#asked.delete(ref);
    if (asked) this.#change(asked.id, { problem, state: "late" });
    return asked !== undefined;
  }

  /** The connection is gone, and what it had with it: it comes again, or to somebody else. */
  lost(): void {
    this.#asked.clear();
    for (const [id, { state }] of this.#items) {
      if (state !== "out" && state !== "asked") continue;
      this.#change(id, { problem: "the connection was lost", state: "late" });
    }
  }

  clear(): void {
    this.#items.clear();
    this.#asked.clear();
  }

  newest(): Item[] {
    return [...this.#items.values()].reverse();
  }

  /** What came again meanwhile is another hand-out, and stays as it is. */
  #change(id: string, change: Omit<Item, "message">): void {
    const item = this.#items.get(id);
    if (item) this.#items.set(id, { ...item, ...change });
  }
}

/** One message may come to two subscriptions. */
function idOf({ message_id, subscription = "" }: MessageFrame): string {
  return `${subscription} ${message_id}`;
}
