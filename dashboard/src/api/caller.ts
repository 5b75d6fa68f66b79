// Who asks, and for which tenant. A key is in this page's memory and nowhere else: no storage, no address.

import { useSyncExternalStore } from "react";

export interface Caller {
  readonly key: string | null;
  /** Whom an operator looks after; null: the key's own. */
  readonly tenant: string | null;
}

let caller: Caller = { key: null, tenant: null };
const listeners = new Set<() => void>();

export function currentCaller(): Caller {
  return caller;
}

export function setCaller(change: Partial<Caller>): void {
  const next = { ...caller, ...change };
  if (next.key === caller.key && next.tenant === caller.tenant) return;
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
