// Where an unnamed subscription goes on when its connection was lost: without a name the server remembers nothing.

import type { MessageFrame, SubscribedFrame } from "@/live/frames";

export type Start =
  | "earliest"
  | "new"
  | { readonly seq: number; readonly epoch?: string }
  | { readonly time: string }
  | { readonly positions: Readonly<Record<string, Position>>; readonly time?: string };

export interface Position {
  readonly epoch: string;
  /** The first that is to come. */
  readonly seq: number;
}

/** Topics of a pattern whose positions are kept. Of the others, which were silent the longest, what came since the
 * beginning comes again; starts with more wait for their turn. */
export const TOPICS_MAX_COUNT = 250;
/** Unsettled numbers that are remembered, of all topics. */
export const UNSETTLED_MAX_COUNT = 10_000;

const LONG_AGO = "1970-01-01T00:00:00.000Z";

interface Heard {
  readonly epoch: string;
  last: number;
  readonly unsettled: Set<number>;
}

export class Resume {
  readonly #asked: Start;
  readonly #isPattern: boolean;
  readonly #needsAcks: boolean;
  readonly #heard = new Map<string, Heard>();
  #since: string | null = null;
  #subscribed = false;
  #unsettledCount = 0;

  constructor(topic: string, asked: Start, needsAcks: boolean) {
    this.#asked = asked;
    this.#isPattern = /[*>]/.test(topic);
    this.#needsAcks = needsAcks;
    if (typeof asked === "object" && "time" in asked && asked.time) this.#since = asked.time;
    else if (asked !== "new") this.#since = LONG_AGO;
  }

  /** Whether the server has answered once, so that what is missing now was deleted. */
  get wasSubscribed(): boolean {
    return this.#subscribed;
  }

  subscribed(frame: SubscribedFrame): void {
    const isFirst = !this.#subscribed;
    this.#subscribed = true;
    if (!isFirst) return;
    this.#since ??= frame.at ?? null;
    if (frame.seq !== undefined && frame.epoch !== undefined) {
      this.#heard.set(frame.topic, { epoch: frame.epoch, last: frame.seq, unsettled: new Set() });
    }
  }

  delivered({ epoch, seq, topic }: MessageFrame): void {
    const before = this.#heard.get(topic);
    // The one that was heard last is last.
    this.#heard.delete(topic);
    const heard =
      before?.epoch === epoch ? before : { epoch, last: 0, unsettled: new Set<number>() };
    if (before && heard !== before) this.#unsettledCount -= before.unsettled.size;
    heard.last = Math.max(heard.last, seq);
    this.#heard.set(topic, heard);
    if (
      this.#needsAcks &&
      this.#unsettledCount < UNSETTLED_MAX_COUNT &&
      !heard.unsettled.has(seq)
    ) {
      heard.unsettled.add(seq);
      this.#unsettledCount += 1;
    }
    if (this.#heard.size > TOPICS_MAX_COUNT) this.#forgetOldest();
  }

  settled({ epoch, seq, topic }: MessageFrame): void {
    const heard = this.#heard.get(topic);
    // The number of one that was deleted with its topic is another's in the next.
    if (heard?.epoch === epoch && heard.unsettled.delete(seq)) this.#unsettledCount -= 1;
  }

  /** Where to begin now: as was asked for, until there is something to go on from. */
  start(): Start {
    if (!this.#subscribed) return this.#asked;
    const positions = Object.fromEntries(
      [...this.#heard].map(([topic, heard]) => [topic, positionOf(heard)] as const),
    );
    if (!this.#isPattern) return Object.values(positions)[0] ?? this.#asked;
    const time = this.#since;
    if (Object.keys(positions).length === 0) return time === null ? this.#asked : { time };
    return time === null ? { positions } : { positions, time };
  }

  #forgetOldest(): void {
    const oldest = this.#heard.keys().next();
    if (oldest.done) return;
    this.#unsettledCount -= this.#heard.get(oldest.value)?.unsettled.size ?? 0;
    this.#heard.delete(oldest.value);
  }
}

function positionOf({ epoch, last, unsettled }: Heard): Position {
  let first = last + 1;
  for (const seq of unsettled) first = Math.min(first, seq);
  return { epoch, seq: first };
}
