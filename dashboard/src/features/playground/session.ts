// One connection of the playground: what is published and subscribed to over it, and its frames as they travel.

import { startOf } from "@/features/connect/acts";
import { Batch, type Problem, type Publishing, QUIET } from "@/features/playground/batch";
import { Inbox, type Item, type Verb } from "@/features/playground/inbox";
import type { Drafted } from "@/features/playground/publishing";
import type { ServerFrame } from "@/live/frames";
import type { Machine } from "@/live/machine";
import { Painter } from "@/live/painter";
import { newRef } from "@/live/refs";
import { Resume } from "@/live/resume";
import { Ring } from "@/live/ring";
import { LiveSocket } from "@/live/socket";
import { Tail, type TailRates } from "@/live/tail";
import { gapText } from "@/live/tailFeed";

export interface Wanted {
  readonly ack: "auto" | "explicit";
  readonly ackWaitMs: number;
  /** Unacked at once, of a subscription that is not durable. */
  readonly windowCount: number;
  readonly start: string;
  readonly subscription: string;
  readonly topic: string;
}

export interface Travelled {
  readonly at: number;
  readonly isOut: boolean;
  readonly number: number;
  readonly text: string;
}

export interface SessionView {
  readonly frames: readonly Travelled[];
  readonly isSubscribed: boolean;
  readonly items: readonly Item[];
  readonly machine: Machine;
  readonly note: string | null;
  readonly problem: Problem | null;
  readonly publishing: Publishing;
  readonly rates: TailRates;
  readonly seenCount: number;
  readonly shownCount: number;
  readonly wanted: Wanted | null;
}

const FRAMES_COUNT = 300;
// Of a frame, in characters.
const FRAME_CHARS = 2_000;
const SEND_EVERY_MS = 50;
const REF_SUBSCRIBE = "subscribe";
const REF_UNSUBSCRIBE = "unsubscribe";

export class Session {
  readonly #socket: LiveSocket;
  readonly #painter = new Painter(() => this.#publish());
  readonly #inbox = new Inbox();
  readonly #frames = new Ring<Travelled>(FRAMES_COUNT);
  readonly #tail = new Tail<never>();
  readonly #listeners = new Set<() => void>();
  #resume: Resume | null = null;
  #wanted: Wanted | null = null;
  #isSubscribed = false;
  #problem: Problem | null = null;
  #note: string | null = null;
  #batch: Batch | null = null;
  #sender: ReturnType<typeof setInterval> | null = null;
  #number = 0;
  #view: SessionView;

  constructor() {
    this.#socket = new LiveSocket({
      onFrame: (frame, text) => this.#hear(frame, text),
      onOpen: () => this.#subscribe(),
      onState: ({ state }) => this.#moved(state),
    });
    this.#view = this.#look();
  }

  readonly view = (): SessionView => this.#view;

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  open(): void {
    this.#socket.start();
  }

  close(): void {
    this.#socket.stop();
    this.#painter.cancel();
  }

  /** Begin to follow; what was followed before is left. */
  follow(wanted: Wanted): void {
    this.#inbox.clear();
    this.#tail.clear();
    this.#problem = this.#note = null;
    this.#wanted = wanted;
    this.#resume = new Resume(wanted.topic, startOf(wanted.start), wanted.ack === "explicit");
    this.#socket.start();
    this.#subscribe();
    this.#painter.now();
  }

  leave(): void {
    const { subscription = "", topic = "" } = this.#wanted ?? {};
    const named = subscription ? { subscription } : {};
    this.#send(JSON.stringify({ type: "unsubscribe", topic, ...named, ref: REF_UNSUBSCRIBE }));
    this.#wanted = this.#resume = null;
    this.#isSubscribed = false;
    this.#inbox.lost();
    this.#painter.now();
  }

  act(item: Item, verb: Verb): void {
    if (this.#socket.machine.state === "open") this.#send(this.#inbox.act(item, verb));
    this.#painter.now();
  }

  publish(topic: string, draft: Drafted, total: number, perS: number): void {
    if (this.#batch?.isSending) return;
    this.#batch = new Batch({ draft, perS, startedAt: performance.now(), topic, total });
    this.#sender ??= setInterval(() => this.#sendDue(), SEND_EVERY_MS);
    this.#sendDue();
    this.#painter.now();
  }

  /** What was sent is published; the rest is not sent. */
  stopPublishing(): void {
    this.#batch?.stop();
    this.#painter.soon();
  }

  #sendDue(): void {
    const batch = this.#batch;
    if (!batch?.isSending) {
      if (this.#sender !== null) clearInterval(this.#sender);
      this.#sender = null;
      return;
    }
    for (let left = batch.dueCount(performance.now()); left > 0 && batch.isSending; left -= 1) {
      const ref = newRef("publish");
      if (this.#send(batch.next(ref))) batch.sent(ref);
      else batch.stop({ code: "not_connected", message: "it could not be sent" });
    }
  }

  #subscribe(): void {
    const { wanted } = { wanted: this.#wanted };
    if (!wanted || !this.#resume || this.#socket.machine.state !== "open") return;
    const { ack, ackWaitMs, subscription, topic, windowCount } = wanted;
    const settings = subscription
      ? { subscription, prefetch: windowCount }
      : { ack_wait_ms: ackWaitMs, max_in_flight: windowCount };
    // What was deleted meanwhile stays deleted.
    const create = this.#resume.wasSubscribed ? { create: false } : {};
    const start = this.#resume.start();
    const frame = { type: "subscribe", topic, ...settings, start, ack, ...create };
    this.#send(JSON.stringify({ ...frame, ref: REF_SUBSCRIBE }));
  }

  #send(text: string): boolean {
    const isSent = this.#socket.send(text);
    if (isSent) this.#log(text, true);
    return isSent;
  }

  #log(text: string, isOut: boolean): void {
    const line = {
      at: Date.now(),
      isOut,
      number: this.#number++,
      text: text.slice(0, FRAME_CHARS),
    };
    this.#frames.add(line);
    this.#painter.soon();
  }

  #moved(state: Machine["state"]): void {
    if (state !== "open" && this.#isSubscribed) {
      this.#isSubscribed = false;
      this.#inbox.lost();
    }
    if (state !== "open") this.#batch?.lost();
    this.#painter.soon();
  }

  #hear(frame: ServerFrame, text: string): void {
    this.#log(text, false);
    switch (frame.type) {
      case "message": {
        const isAuto = this.#wanted?.ack === "auto";
        this.#resume?.delivered(frame);
        // What has to be acked is shown in any case: the window bounds it.
        if (this.#tail.admits(performance.now()) || !isAuto) this.#inbox.add(frame, isAuto);
        return;
      }
      case "subscribed":
        this.#resume?.subscribed(frame);
        this.#isSubscribed = this.#wanted !== null;
        this.#problem = null;
        this.#found(frame.topic);
        if (frame.paused) this.#note = "It is paused: nothing comes until it is resumed";
        return;
      case "unsubscribed":
        if (frame.ref !== REF_UNSUBSCRIBE) this.#ended("the subscription was deleted");
        return;
      case "acked": {
        const settled = this.#inbox.done(frame.ref ?? "");
        if (settled) this.#resume?.settled(settled.topic, settled.seq);
        return;
      }
      case "published":
        this.#batch?.published(frame.ref ?? "", frame);
        return;
      case "gap":
        this.#note = gapText(frame.topic, frame.from_seq, frame.to_seq, frame.reason);
        return;
      case "error":
        this.#refused(frame);
    }
  }

  /** Subscribing to a topic has made it: that it is missing is not so any more. */
  #found(topic: string): void {
    const { problem, topic: missing } = this.#batch?.view ?? QUIET;
    if (problem?.code === "topic_not_found" && missing === topic) this.#batch = null;
  }

  #refused({ code, message, ref = "" }: Extract<ServerFrame, { type: "error" }>): void {
    if (this.#inbox.refused(ref, `${message} (${code})`)) return;
    this.#batch?.refused(ref, { code, message });
    if (ref === REF_SUBSCRIBE) this.#ended(message, code);
    else if (ref === "") this.#problem = { code, message };
  }

  #ended(message: string, code = "subscription_ended"): void {
    this.#wanted = this.#resume = null;
    this.#isSubscribed = false;
    this.#problem = { code, message };
  }

  #publish(): void {
    this.#view = this.#look();
    for (const listener of this.#listeners) listener();
  }

  #look(): SessionView {
    return {
      frames: this.#frames.newest(),
      isSubscribed: this.#isSubscribed,
      items: this.#inbox.newest(),
      machine: this.#socket.machine,
      note: this.#note,
      problem: this.#problem,
      publishing: this.#batch?.view ?? QUIET,
      rates: this.#tail.rates(performance.now()),
      seenCount: this.#tail.seenCount,
      shownCount: this.#tail.shownCount,
      wanted: this.#wanted,
    };
  }
}
