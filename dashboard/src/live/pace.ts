// How often pages ask again. Paused means that nothing is asked but what a person does.

import { useSyncExternalStore } from "react";

export const PACES = [
  { label: "Every 2 s", ms: 2_000 },
  { label: "Every 10 s", ms: 10_000 },
  { label: "Paused", ms: null },
] as const;

export type PaceMs = (typeof PACES)[number]["ms"];

// After so many intervals without an answer what is shown is called stale.
const STALE_AFTER_INTERVALS = 3;

let paceMs: PaceMs = 2_000;
let isHeld = false;
const listeners = new Set<() => void>();

export function setPace(ms: PaceMs): void {
  paceMs = ms;
  for (const listener of [...listeners]) listener();
}

/** Who is nobody any more would only be told so again and again. */
export function holdPace(hold: boolean): void {
  if (isHeld === hold) return;
  isHeld = hold;
  for (const listener of [...listeners]) listener();
}

export function isPaceHeld(): boolean {
  return isHeld;
}

export function currentPace(): PaceMs {
  return isHeld ? null : paceMs;
}

export function usePace(): PaceMs {
  return useSyncExternalStore(onPace, () => paceMs);
}

/** Whether what came at that time is old, for the pace at which it should come. */
export function isStale(updatedAt: number, now: number, ms: PaceMs): boolean {
  return ms !== null && updatedAt > 0 && now - updatedAt > STALE_AFTER_INTERVALS * ms + 1_000;
}

/** Calls it after each change; what it returns ends that. */
export function onPace(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
