import { useSyncExternalStore } from "react";
import { serverAheadMs } from "@/live/serverClock";

const TICK_MS = 1_000;

let now = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;
const listeners = new Set<() => void>();

/** The time, a second at a time: one timer for all that show it. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** The same by the server's clock, of which the times in answers are. */
export function useServerNow(): number {
  return useNow() + serverAheadMs();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  now = Date.now();
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };
}
