// The machine's hands: the one place where the page opens a WebSocket. It does what the machine says and tells it what happens.

import { currentSession, onSessionChange } from "@/api/caller";
import { asApiError, heededMs } from "@/api/errors";
import { serverUrl } from "@/api/place";
import { request } from "@/api/request";
import { TicketAnswer, WhoAmI } from "@/api/schema";
import { stranger } from "@/live/acquaintance";
import { reportAnswer, reportSilence } from "@/live/connection";
import { readFrame, type ServerFrame } from "@/live/frames";
import { type Effect, type Happening, type Machine, OFF, step } from "@/live/machine";

/** How often the server is asked whether it is there: a browser does not tell of pings. */
export const HEARTBEAT_MS = 10_000;
/** Nothing heard for so long, not even that, is a connection that was lost. */
export const SILENT_MS = 25_000;
/** Of a payload, in characters: what a row shows. */
export const PREVIEW_CHARS = 2_048;
/** What may wait in the browser to be sent, in bytes; more is refused. */
export const UNSENT_MAX_BYTES = 4 * 1024 * 1024;

const HEARTBEAT = '{"type":"heartbeat"}';

export interface LiveListener {
  /** Signed in, and nothing subscribed to yet. */
  readonly onOpen: () => void;
  readonly onFrame: (frame: ServerFrame, text: string) => void;
  /** Whether this was enough, and the text need not be read. */
  readonly onText?: (text: string) => boolean;
  /** The machine is in another state. */
  readonly onState: (machine: Machine) => void;
}

export class LiveSocket {
  #machine: Machine = OFF;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #pulse: ReturnType<typeof setInterval> | null = null;
  #asked: AbortController | null = null;
  #heardAt = 0;
  #openedAt = 0;
  #unhear: (() => void) | null = null;

  constructor(private readonly listener: LiveListener) {}

  get machine(): Machine {
    return this.#machine;
  }

  start(): void {
    this.#unhear ??= this.#hearAround();
    this.#happen({ kind: "start" });
  }

  stop(): void {
    this.#unhear?.();
    this.#unhear = null;
    this.#happen({ kind: "stop" });
  }

  #hearAround(): () => void {
    // What was refused to a session that has ended may be open to the next one, in whatever tab that was begun.
    const unhear = onSessionChange(() => {
      if (this.#machine.state === "refused") this.#happen({ kind: "start" });
    });
    // A page that was left may be kept as it is, with its connection, and would take what nobody sees.
    const left = () => this.#happen({ kind: "left" });
    const back = () => this.#happen({ kind: "back" });
    window.addEventListener("pagehide", left);
    window.addEventListener("pageshow", back);
    return () => {
      unhear();
      window.removeEventListener("pagehide", left);
      window.removeEventListener("pageshow", back);
    };
  }

  /** Whether it could be handed to the browser; what was is not known to have arrived. */
  send(text: string): boolean {
    const socket = this.#socket;
    if (this.#machine.state !== "open" || !socket) return false;
    if (socket.bufferedAmount > UNSENT_MAX_BYTES) return false;
    socket.send(text);
    return true;
  }

  #happen(happening: Happening): void {
    const [next, effects] = step(this.#machine, happening, Math.random());
    const isNew = next !== this.#machine;
    this.#machine = next;
    for (const effect of effects) this.#do(effect);
    if (isNew) this.listener.onState(next);
  }

  #do(effect: Effect): void {
    switch (effect.do) {
      case "ask":
        void this.#ask();
        return;
      case "open":
        this.#open(effect.url);
        return;
      case "wait":
        this.#timer = setTimeout(() => this.#happen({ kind: "due" }), effect.ms);
        return;
      case "drop":
        this.#drop();
    }
  }

  async #ask(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const asked = new AbortController();
    this.#asked = asked;
    const session = currentSession();
    try {
      const url = await address(asked.signal);
      if (!asked.signal.aborted) this.#happen({ kind: "addressed", url });
    } catch (error) {
      if (asked.signal.aborted) return;
      const { code, isTransient, message } = asApiError(error);
      const afterMs = heededMs(0, error);
      // It was asked as of a session that has been followed by another one meanwhile.
      const mayRetry = isTransient || session !== currentSession();
      this.#happen({ afterMs, kind: "unaddressed", mayRetry, reason: message });
      if (code === "unauthenticated") stranger.say();
    }
  }

  #open(url: string): void {
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#heardAt = performance.now();
    this.#pulse = setInterval(() => this.#beat(), HEARTBEAT_MS);
    // What an earlier socket still says is nobody's.
    const own = (act: () => void) => () => this.#socket === socket && act();
    socket.onopen = own(() => {
      this.#heardAt = this.#openedAt = performance.now();
      reportAnswer();
      this.#happen({ kind: "opened" });
      this.listener.onOpen();
    });
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket && typeof data === "string") this.#hear(data);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket !== socket) return;
      const wasOpen = this.#machine.state === "open";
      this.#release();
      if (!wasOpen) reportSilence("the live connection cannot be opened");
      const livedMs = wasOpen ? performance.now() - this.#openedAt : 0;
      this.#happen({ code, kind: "closed", livedMs });
    };
  }

  #hear(text: string): void {
    this.#heardAt = performance.now();
    if (this.listener.onText?.(text)) return;
    const frame = readFrame(text, PREVIEW_CHARS);
    if (!frame || frame.type === "heartbeat_ack") return;
    if (frame.type === "closing") {
      this.#happen({ afterMs: frame.reconnect_after_ms, kind: "closing" });
    }
    this.listener.onFrame(frame, text);
  }

  #beat(): void {
    if (performance.now() - this.#heardAt > SILENT_MS) {
      reportSilence("the live connection has gone silent");
      this.#happen({ kind: "silent" });
      return;
    }
    this.send(HEARTBEAT);
  }

  #drop(): void {
    this.#asked?.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const socket = this.#socket;
    this.#release();
    // With a close frame: what it had was not lost with it.
    socket?.close(1000);
  }

  #release(): void {
    this.#socket = null;
    if (this.#pulse !== null) clearInterval(this.#pulse);
    this.#pulse = null;
  }
}

/** Where the WebSocket is, below the place of the page. Where keys are asked for a ticket goes with it: good once, for a
 * minute, with what whoever is signed in may do; a key is in no address. */
async function address(signal: AbortSignal): Promise<string> {
  const url = new URL("ws", serverUrl());
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const who = await request(WhoAmI, "/api/whoami", { signal });
  if (who.actor !== "anonymous") {
    const asked = { body: {}, method: "POST", signal } as const;
    url.searchParams.set("ticket", (await request(TicketAnswer, "/api/tickets", asked)).ticket);
  }
  return url.href;
}
