// Whether the server answers: what the requests of this page have seen last.

import { useSyncExternalStore } from "react";
import { Signal } from "@/live/acquaintance";

export interface Connection {
  readonly state: "connecting" | "live" | "lost";
  /** When there was an answer last, in milliseconds of `Date.now`. */
  readonly answeredAt: number | null;
  readonly reason: string | null;
}

let connection: Connection = { state: "connecting", answeredAt: null, reason: null };
const listeners = new Set<() => void>();
/** The server answers, and did not before. */
export const returned = new Signal();

export function reportAnswer(now = Date.now()): void {
  const isBack = connection.state === "lost";
  set({ state: "live", answeredAt: now, reason: null });
  if (isBack) returned.say();
}

export function reportSilence(reason: string): void {
  if (connection.state !== "lost") set({ ...connection, state: "lost", reason });
}

export function currentConnection(): Connection {
  return connection;
}

export function useConnection(): Connection {
  return useSyncExternalStore(subscribe, currentConnection);
}

function set(next: Connection): void {
  connection = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
