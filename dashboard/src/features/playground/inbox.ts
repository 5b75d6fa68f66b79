// What a subscription of the playground has got, and what was done with each.

import type { MessageFrame } from "@/live/frames";
import { newRef } from "@/live/refs";

export type Verb = "ack" | "nack" | "reject";
/** `out`: this page has it. `asked`: what was done is not recorded yet. `late`: it could not be done any more. */
export type ItemState = "acked" | "asked" | "auto" | "late" | "nacked" | "out" | "rejected";

export interface Item {
  readonly message: MessageFrame;
  /** Which one that came it is. */
  readonly number: number;
  readonly problem: string | null;
  readonly state: ItemState;
}

/** What came and is not in the list any more: how many that this page has, and whether any that it has not. */
export interface LeftOut {
  readonly inFlightCount: number;
  readonly isSettledCut: boolean;
}

/** Of those are kept which need nothing any more. */
export const SETTLED_COUNT = 500;
/** Of those are kept which this page has: no window is larger. */
export const IN_FLIGHT_COUNT = 10_000;

const DONE: Readonly<Record<Verb, ItemState>> = {
  ack: "acked",
  nack: "nacked",
  reject: "rejected",
};

export class Inbox {
  // In two, so that what is settled never takes the place of what is not.
  readonly #inFlight = new Map<string, Item>();
  readonly #settled = new Map<string, Item>();
  readonly #asked = new Map<string, { readonly message: MessageFrame; readonly verb: Verb }>();
  #number = 0;
  #inFlightLeftOut = 0;
  #isSettledCut = false;

  get leftOut(): LeftOut {
    return { inFlightCount: this.#inFlightLeftOut, isSettledCut: this.#isSettledCut };
  }

  /** One that comes again takes the place of what was before. */
  add(message: MessageFrame, isAuto: boolean): void {
    this.#put({ message, number: this.#number++, problem: null, state: isAuto ? "auto" : "out" });
  }

  /** The frame that does it, and its ref; null if there is nothing to be done with it any more. */
  act({ message }: Item, verb: Verb): { readonly ref: string; readonly text: string } | null {
    const item = this.#current(message);
    if (item?.state !== "out") return null;
    const ref = newRef("act");
    const { attempt, message_id, subscription } = message;
    this.#asked.set(ref, { message, verb });
    this.#put({ ...item, problem: null, state: "asked" });
    const named = subscription === undefined ? {} : { subscription };
    return { ref, text: JSON.stringify({ type: verb, message_id, attempt, ...named, ref }) };
  }

  /** Recorded; the message that needs nothing any more, if that is so. */
  done(ref: string): MessageFrame | null {
    const asked = this.#asked.get(ref);
    this.#asked.delete(ref);
    if (!asked) return null;
    const item = this.#current(asked.message);
    if (item) this.#put({ ...item, problem: null, state: DONE[asked.verb] });
    return asked.verb === "nack" ? null : asked.message;
  }

  /** `mayRetry`: it was not done, and can be asked for again. False if it was not asked for here. */
  refused(ref: string, problem: string, mayRetry: boolean): boolean {
    const asked = this.#asked.get(ref);
    this.#asked.delete(ref);
    const item = asked && this.#current(asked.message);
    if (item) this.#put({ ...item, problem, state: mayRetry ? "out" : "late" });
    return asked !== undefined;
  }

  /** What it had is not this page's any more: it comes again, or to somebody else. */
  gone(reason: string): void {
    this.#asked.clear();
    this.#inFlightLeftOut = 0;
    for (const item of [...this.#inFlight.values()]) {
      this.#put({ ...item, problem: reason, state: "late" });
    }
  }

  clear(): void {
    this.#inFlight.clear();
    this.#settled.clear();
    this.#asked.clear();
    this.#inFlightLeftOut = 0;
    this.#isSettledCut = false;
  }

  newest(): Item[] {
    const all = [...this.#settled.values(), ...this.#inFlight.values()];
    return all.sort((one, other) => other.number - one.number);
  }

  /** Null if it came again meanwhile, which is another hand-out, and stays as it is. */
  #current(message: MessageFrame): Item | null {
    const id = idOf(message);
    const item = this.#inFlight.get(id);
    return item?.message === message ? item : null;
  }

  #put(item: Item): void {
    const id = idOf(item.message);
    this.#inFlight.delete(id);
    this.#settled.delete(id);
    if (item.state === "out" || item.state === "asked") {
      this.#inFlight.set(id, item);
      if (dropOldest(this.#inFlight, IN_FLIGHT_COUNT)) this.#inFlightLeftOut += 1;
    } else {
      this.#settled.set(id, item);
      if (dropOldest(this.#settled, SETTLED_COUNT)) this.#isSettledCut = true;
    }
  }
}

function dropOldest(items: Map<string, Item>, mostCount: number): boolean {
  const oldest = items.keys().next();
  return items.size > mostCount && !oldest.done && items.delete(oldest.value);
}

/** One message may come to two subscriptions. */
export function idOf({ message_id, subscription = "" }: MessageFrame): string {
  return `${subscription} ${message_id}`;
}
