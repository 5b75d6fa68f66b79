// One connection of the playground: what is published and subscribed to over it, and its frames as they travel.

import { startOf } from "@/features/connect/acts";
import { Batch, type Problem, type Publishing, QUIET } from "@/features/playground/batch";
import {
  type Effect,
  type Following,
  type Happening,
  NONE,
  step,
  type Wanted,
} from "@/features/playground/following";
import { Inbox, type Item, type LeftOut, type Verb } from "@/features/playground/inbox";
import type { Drafted } from "@/features/playground/publishing";
import type { GapFrame, MessageFrame, ServerFrame, SubscribedFrame } from "@/live/frames";
import type { Machine } from "@/live/machine";
import { Painter } from "@/live/painter";
import { newRef } from "@/live/refs";
import { Resume } from "@/live/resume";
import { Ring } from "@/live/ring";
import { LiveSocket } from "@/live/socket";
import { Tail, type TailRates } from "@/live/tail";
import { gapText } from "@/live/tailFeed";

export interface Travelled {
  readonly at: number;
  readonly isOut: boolean;
  readonly number: number;
  readonly text: string;
}

export interface SessionView {
  readonly frames: readonly Travelled[];
  readonly following: Following["state"];
  readonly items: readonly Item[];
  readonly leftOut: LeftOut;
  readonly machine: Machine;
  readonly note: string | null;
  readonly problem: Problem | null;
  readonly publishing: Publishing;
  readonly rates: TailRates;
  readonly seenCount: number;
  readonly shownCount: number;
  readonly wanted: Wanted | null;
}

type ErrorFrame = Extract<ServerFrame, { type: "error" }>;

const FRAMES_COUNT = 300;
// Of a frame, in characters.
const FRAME_CHARS = 2_000;
const SEND_EVERY_MS = 50;

export class Session {
  readonly #socket: LiveSocket;
  readonly #painter = new Painter(() => this.#publish());
  readonly #inbox = new Inbox();
  readonly #frames = new Ring<Travelled>(FRAMES_COUNT);
  readonly #tail = new Tail<never>();
  readonly #listeners = new Set<() => void>();
  #following = NONE;
  // Of what is followed, or was last.
  #resume = new Resume("", "new", false);
  #again: ReturnType<typeof setTimeout> | null = null;
  #problem: Problem | null = null;
  #note: string | null = null;
  #batch: Batch | null = null;
  #sender: ReturnType<typeof setInterval> | null = null;
  #number = 0;
  #view: SessionView;

  constructor() {
    this.#socket = new LiveSocket({
      onFrame: (frame, text) => this.#hear(frame, text),
      onOpen: () => this.#happen({ kind: "opened", ref: newRef("subscribe") }),
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
    this.#resume = new Resume(wanted.topic, startOf(wanted.start), wanted.ack === "explicit");
    this.#socket.start();
    const isOpen = this.#socket.machine.state === "open";
    this.#happen({ isOpen, kind: "follow", ref: newRef("subscribe"), to: wanted });
    this.#painter.now();
  }

  leave(): void {
    this.#problem = this.#note = null;
    this.#happen({ kind: "leave" });
    this.#painter.now();
  }

  act(item: Item, verb: Verb): void {
    const asked = this.#inbox.act(item, verb);
    if (asked && !this.#send(asked.text)) {
      this.#inbox.refused(asked.ref, "it could not be sent", true);
    }
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

  #happen(happening: Happening): void {
    const [next, effects] = step(this.#following, happening);
    if (next !== this.#following && this.#again !== null) clearTimeout(this.#again);
    this.#following = next;
    for (const effect of effects) this.#do(effect);
    this.#painter.soon();
  }

  #do(effect: Effect): void {
    switch (effect.do) {
      case "ask":
        this.#ask(effect);
        return;
      case "begun":
        this.#begun(effect.frame);
        return;
      case "gone":
        this.#inbox.gone(effect.reason);
        return;
      case "leave":
        this.#unsubscribe(effect.wanted);
        return;
      case "take":
        this.#take(effect.frame, effect.wanted.ack === "auto");
        return;
      case "tell":
        this.#problem = effect.problem;
        return;
      case "wait": {
        const due = () => this.#happen({ kind: "due", ref: newRef("subscribe") });
        this.#again = setTimeout(due, effect.ms);
      }
    }
  }

  #ask({ ref, wanted }: Extract<Effect, { do: "ask" }>): void {
    const { ack, ackWaitMs, subscription, topic, windowCount } = wanted;
    const settings = subscription
      ? { subscription, prefetch: windowCount }
      : { ack_wait_ms: ackWaitMs, max_in_flight: windowCount };
    // What was deleted meanwhile stays deleted.
    const create = this.#resume.wasSubscribed ? { create: false } : {};
    const start = this.#resume.start();
    const frame = { type: "subscribe", topic, ...settings, start, ack, ...create, ref };
    if (!this.#send(JSON.stringify(frame))) this.#happen({ kind: "unsent" });
  }

  #unsubscribe({ subscription, topic }: Wanted): void {
    const named = subscription ? { subscription } : {};
    const frame = { type: "unsubscribe", topic, ...named, ref: newRef("unsubscribe") };
    if (this.#send(JSON.stringify(frame))) return;
    // Too much waits to be sent. With the connection it ends as well.
    this.#socket.stop();
    this.#socket.start();
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
    if (state !== "open") {
      this.#batch?.lost();
      this.#happen({ kind: "lost" });
    }
    this.#painter.soon();
  }

  #hear(frame: ServerFrame, text: string): void {
    this.#log(text, false);
    switch (frame.type) {
      case "acked": {
        const settled = this.#inbox.done(frame.ref ?? "");
        if (settled) this.#resume.settled(settled);
        return;
      }
      case "published":
        this.#batch?.published(frame.ref ?? "", frame);
        return;
      case "error":
        this.#refused(frame);
        break;
    }
    this.#happen({ frame, kind: "heard" });
  }

  #take(frame: GapFrame | MessageFrame, isAuto: boolean): void {
    if (frame.type === "gap") {
      this.#note = gapText(frame.topic, frame.from_seq, frame.to_seq, frame.reason);
      return;
    }
    this.#resume.delivered(frame);
    // What has to be acked is shown in any case: the window bounds it.
    if (this.#tail.admits(performance.now()) || !isAuto) this.#inbox.add(frame, isAuto);
  }

  #begun(frame: SubscribedFrame): void {
    this.#resume.subscribed(frame);
    this.#problem = null;
    if (frame.paused) this.#note = "It is paused: nothing comes until it is resumed";
    // Subscribing to a topic has made it: that it is missing is not so any more.
    const { problem, topic } = this.#batch?.view ?? QUIET;
    if (problem?.code === "topic_not_found" && topic === frame.topic) this.#batch = null;
  }

  /** Subscribing is answered elsewhere, and why one could not unsubscribe is nobody's matter. */
  #refused({ code, message, ref, retry_after_ms }: ErrorFrame): void {
    if (ref === undefined) {
      this.#problem = { code, message };
      return;
    }
    this.#batch?.refused(ref, { code, message });
    this.#inbox.refused(ref, `${message} (${code})`, retry_after_ms !== undefined);
  }

  #publish(): void {
    this.#view = this.#look();
    for (const listener of this.#listeners) listener();
  }

  #look(): SessionView {
    return {
      frames: this.#frames.newest(),
      following: this.#following.state,
      items: this.#inbox.newest(),
      leftOut: this.#inbox.leftOut,
      machine: this.#socket.machine,
      note: this.#note,
      problem: this.#problem,
      publishing: this.#batch?.view ?? QUIET,
      rates: this.#tail.rates(performance.now()),
      seenCount: this.#tail.seenCount,
      shownCount: this.#tail.shownCount,
      wanted: this.#following.state === "none" ? null : this.#following.wanted,
    };
  }
}
