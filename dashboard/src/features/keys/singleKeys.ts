// Whether single keys are commands. Who dictates, or presses keys without meaning to, can switch that off
// (WCAG 2.1.4). The choice is this browser's.

import { useSyncExternalStore } from "react";

const KEPT_AS = "conduit.single-keys";
const OFF = "off";
const listeners = new Set<() => void>();
let on = kept();

export function hasSingleKeys(): boolean {
  return on;
}

export function useSingleKeys(): boolean {
  return useSyncExternalStore(subscribe, hasSingleKeys);
}

export function setSingleKeys(next: boolean): void {
  on = next;
  try {
    if (next) localStorage.removeItem(KEPT_AS);
    else localStorage.setItem(KEPT_AS, OFF);
  } catch {
    // A browser that keeps nothing has the choice until the page is left.
  }
  for (const listener of listeners) listener();
}

function kept(): boolean {
  try {
    return localStorage.getItem(KEPT_AS) !== OFF;
  } catch {
    return true;
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
