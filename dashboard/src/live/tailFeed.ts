// A topic, or a pattern, as it is published to: a connection of its own, and what a page shows of it.

import type { MessageFrame, ServerFrame, SubscribedFrame } from "@/live/frames";
import { type Machine, TOO_SLOW } from "@/live/machine";
import { Painter } from "@/live/painter";
import { Resume } from "@/live/resume";
import { LiveSocket } from "@/live/socket";
import { Tail, type TailRates } from "@/live/tail";
import { Unread } from "@/live/unread";

export type TailRow =
  | { readonly kind: "message"; readonly at: number; readonly message: MessageFrame }
  | { readonly kind: "note"; readonly at: number; readonly text: string };

export interface TailView {
  readonly isPaused: boolean;
  /** Open once the topic is followed, and not before. */
  readonly machine: Machine;
  /** What the server has refused; nothing comes then. */
  readonly problem: { readonly code: string; readonly message: string } | null;
  readonly rates: TailRates;
  /** The newest first. */
  readonly rows: readonly TailRow[];
  readonly seenCount: number;
  readonly shownCount: number;
}

/** Why nothing is followed: the page is not seen, all of it is paused, or somebody has paused this. */
export type Hold = "hidden" | "pace" | "person";

interface Place {
  readonly epoch: string;
  readonly seq: number;
}

const TICK_MS = 1_000;
/** A topic that is not there may be made, or made anew. */
const ABSENT_AGAIN_MS = 3_000;
const REF = "tail";

export class TailFeed {
  readonly #socket: LiveSocket;
  readonly #painter = new Painter(() => this.#publish());
  readonly #tail = new Tail<TailRow>();
  readonly #listeners = new Set<() => void>();
  /** What the tail has no room for is not read, or a fast stream would cost the page more than what it shows. */
  readonly #unread = new Unread((frame) => this.#passed(frame));
  #resume: Resume;
  /** How far a topic is known to have been followed; of a pattern there is no such place. */
  #place: Place | null = null;
  #hasBegun = false;
  /** Whether what is published from now on comes. */
  #isFollowed = false;
  #problem: TailView["problem"] = null;
  readonly #holds = new Set<Hold>();
  #isStarted = false;
  #rowCount = 0;
  #tick: ReturnType<typeof setInterval> | null = null;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #view: TailView;

  constructor(private readonly topic: string) {
    this.#resume = this.#fromNow();
    this.#socket = new LiveSocket({
      onFrame: (frame) => this.#hear(frame),
      onOpen: () => this.#subscribe(),
      onState: (machine) => this.#moved(machine),
      onText: (text) => this.#skips(text),
    });
    this.#view = this.#look();
  }

  readonly view = (): TailView => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Follows, unless and until something holds it. */
  start(): void {
    this.#isStarted = true;
    this.#connect();
  }

  stop(): void {
    this.#isStarted = false;
    this.#disconnect();
  }

  get isPaused(): boolean {
    return this.#holds.has("pace") || this.#holds.has("person");
  }

  /** What is shown stands still before this returns, and nothing is sent or received until nothing holds it any more. */
  hold(why: Hold): void {
    this.#holds.add(why);
    this.#disconnect();
    this.#painter.now();
  }

  release(...whys: readonly Hold[]): void {
    if (!whys.map((why) => this.#holds.delete(why)).includes(true)) return;
    this.#connect();
    this.#painter.now();
  }

  /** Forgets all that was followed. */
  clear(): void {
    this.#tail.clear();
    this.#place = null;
    this.#hasBegun = false;
    this.#painter.now();
  }

  #connect(): void {
    if (!this.#isStarted || this.#holds.size > 0) return;
    this.#problem = null;
    this.#socket.start();
    this.#tick ??= setInterval(() => this.#painter.soon(), TICK_MS);
  }

  #disconnect(): void {
    this.#socket.stop();
    this.#unread.flush();
    if (this.#tick !== null) clearInterval(this.#tick);
    this.#tick = null;
    this.#isFollowed = false;
    this.#forgetRetry();
    // What passes meanwhile is looked up, not tailed: whoever comes back sees what is new.
    this.#resume = this.#fromNow();
    this.#painter.cancel();
  }

  #fromNow(): Resume {
    return new Resume(this.topic, "new", false);
  }

  #moved({ reason, state }: Machine): void {
    this.#unread.flush();
    if (state !== "open") this.#isFollowed = false;
    // To catch up would be too slow again.
    if (state === "waiting" && reason === TOO_SLOW) this.#resume = this.#fromNow();
    this.#painter.soon();
  }

  #subscribe(): void {
    this.#forgetRetry();
    const start = this.#resume.start();
    const frame = { ack: "auto", create: false, ref: REF, start, topic: this.topic };
    this.#socket.send(JSON.stringify({ type: "subscribe", ...frame }));
  }

  /** Whether this is a message that is only counted. */
  #skips(text: string): boolean {
    const now = performance.now();
    if (!this.#tail.isFull(now) || !this.#unread.keep(text)) return false;
    this.#tail.admits(now);
    this.#painter.soon();
    return true;
  }

  #passed(frame: MessageFrame): void {
    this.#resume.delivered(frame);
    this.#place = frame;
  }

  #hear(frame: ServerFrame): void {
    switch (frame.type) {
      case "message":
        this.#unread.forget(frame.topic);
        this.#passed(frame);
        if (this.#tail.admits(performance.now())) {
          this.#tail.add({ at: this.#rowCount++, kind: "message", message: frame });
        }
        break;
      case "subscribed":
        this.#begun(frame);
        break;
      case "gap":
        this.#note(gapText(frame.topic, frame.from_seq, frame.to_seq, frame.reason));
        break;
      case "error":
        this.#refused(frame);
        break;
      default:
        return;
    }
    this.#painter.soon();
  }

  #begun(frame: SubscribedFrame): void {
    if (this.#resume.wasSubscribed) {
      this.#note("The connection is back; it goes on behind the last message that came");
    } else {
      const passed = this.#hasBegun ? passedText(this.#place, frame) : null;
      if (passed !== null) this.#note(passed);
      const { epoch, seq } = frame;
      this.#place = epoch !== undefined && seq !== undefined ? { epoch, seq } : null;
    }
    this.#hasBegun = true;
    this.#isFollowed = true;
    this.#resume.subscribed(frame);
    this.#problem = null;
  }

  #refused(frame: Extract<ServerFrame, { type: "error" }>): void {
    if (frame.ref !== REF) return;
    const isAbsent = frame.code === "topic_not_found";
    const afterMs = frame.retry_after_ms ?? (isAbsent ? ABSENT_AGAIN_MS : undefined);
    if (afterMs !== undefined) {
      this.#forgetRetry();
      this.#retry = setTimeout(() => this.#subscribe(), afterMs);
    }
    if (frame.retry_after_ms === undefined) {
      this.#problem = { code: frame.code, message: frame.message };
    }
  }

  #forgetRetry(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  #note(text: string): void {
    this.#tail.add({ at: this.#rowCount++, kind: "note", text });
  }

  #publish(): void {
    this.#view = this.#look();
    for (const listener of this.#listeners) listener();
  }

  #look(): TailView {
    const { machine } = this.#socket;
    const isBeginning = machine.state === "open" && !this.#isFollowed && this.#problem === null;
    return {
      isPaused: this.isPaused,
      machine: isBeginning ? { ...machine, state: "opening" } : machine,
      problem: this.#problem,
      rates: this.#tail.rates(performance.now()),
      rows: this.#tail.newest(),
      seenCount: this.#tail.seenCount,
      shownCount: this.#tail.shownCount,
    };
  }
}

/** What went by between the place that was followed last and where it begins now; null if nothing did. */
function passedText(last: Place | null, { epoch, seq }: SubscribedFrame): string | null {
  if (seq === undefined) return "What was published while this was not followed is not shown";
  if (last === null || last.epoch !== epoch) {
    return "The topic was made anew while this was not followed";
  }
  const passed = seq - last.seq;
  if (passed <= 0) return null;
  return `${passed} ${passed === 1 ? "message" : "messages"} passed while this was not followed`;
}

const WHY: Readonly<Record<string, string>> = {
  epoch_changed: "the topic was deleted",
  log_lost: "the log ends before them",
  retention: "they were removed",
};

export function gapText(topic: string, from: number, to: number | null, reason: string): string {
  const which = to === null ? `from ${from} on` : from === to ? `${from}` : `${from} to ${to}`;
  return `Gap: messages ${which} of ${topic} will not come: ${WHY[reason] ?? reason}`;
}
