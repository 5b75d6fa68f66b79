// What was published in one go, and what became of each: only the answers to its own count.

import {
  type Drafted,
  dueCount,
  filledIn,
  filling,
  publishFrame,
} from "@/features/playground/publishing";

export interface Problem {
  readonly code: string;
  readonly message: string;
}

export interface Publishing {
  readonly failedCount: number;
  readonly last: { readonly seq: number; readonly topic: string } | null;
  readonly problem: Problem | null;
  readonly publishedCount: number;
  readonly topic: string;
  /** Null when nothing is being sent. */
  readonly total: number | null;
}

export const QUIET: Publishing = {
  failedCount: 0,
  last: null,
  problem: null,
  publishedCount: 0,
  topic: "",
  total: null,
};

export interface Order {
  readonly draft: Drafted;
  readonly perS: number;
  /** In milliseconds, as `now` is. */
  readonly startedAt: number;
  readonly topic: string;
  readonly total: number;
}

export class Batch {
  readonly #unanswered = new Set<string>();
  #sentCount = 0;
  #view: Publishing;

  constructor(private readonly order: Order) {
    this.#view = { ...QUIET, topic: order.topic, total: order.total };
  }

  get view(): Publishing {
    return this.#view;
  }

  get isSending(): boolean {
    return this.#view.total !== null;
  }

  /** How many are to be sent now. */
  dueCount(now: number): number {
    if (!this.isSending) return 0;
    const { perS, startedAt, total } = this.order;
    const sent = this.#sentCount;
    const answered = sent - this.#unanswered.size;
    return dueCount({ answered, perS, sent, startedAt, total }, now);
  }

  /** The frame of the next one; that it was sent is told with `sent`. */
  next(ref: string): string {
    const { draft, topic } = this.order;
    return publishFrame(topic, filledIn(draft, filling(this.#sentCount + 1)), ref);
  }

  sent(ref: string): void {
    this.#sentCount += 1;
    this.#unanswered.add(ref);
  }

  published(ref: string, { seq, topic }: { readonly seq: number; readonly topic: string }): void {
    if (!this.#unanswered.delete(ref)) return;
    const publishedCount = this.#view.publishedCount + 1;
    this.#view = { ...this.#view, last: { seq, topic }, publishedCount };
    if (publishedCount + this.#view.failedCount >= this.order.total) this.stop();
  }

  /** What the server refuses once it refuses again: the rest is not sent. */
  refused(ref: string, problem: Problem): void {
    if (!this.#unanswered.delete(ref)) return;
    this.#view = { ...this.#view, failedCount: this.#view.failedCount + 1 };
    this.stop(problem);
  }

  /** What was sent is published, and still counts; the rest is not sent. */
  stop(problem: Problem | null = null): void {
    this.#view = { ...this.#view, problem: problem ?? this.#view.problem, total: null };
  }

  /** The connection is gone, and no answer comes any more. */
  lost(): void {
    if (!this.isSending && this.#unanswered.size === 0) return;
    this.#unanswered.clear();
    const message = "whether the last ones are stored is not known";
    this.stop({ code: "connection_lost", message });
  }
}
