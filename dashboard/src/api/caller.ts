// For which tenant the page asks. Who asks the browser says, by a cookie that nothing here can read.

import { useSyncExternalStore } from "react";

export interface Caller {
  /** Whom an operator looks after; null: the key's own. */
  readonly tenant: string | null;
}

let caller: Caller = { tenant: null };
const listeners = new Set<() => void>();

export function currentCaller(): Caller {
  return caller;
}

export function setCaller(change: Partial<Caller>): void {
  const next = { ...caller, ...change };
  if (next.tenant === caller.tenant) return;
  caller = next;
  for (const listener of listeners) listener();
}

export function onCallerChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useCaller(): Caller {
  return useSyncExternalStore(onCallerChange, currentCaller);
}
