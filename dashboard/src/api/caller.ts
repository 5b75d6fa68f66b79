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

let session: string | null = null;
const ofSession = new Set<() => void>();

/** Which session of the browser the page is of; null: of none, or that is not known yet. Another tab may have
 * signed in as somebody else since: the server refuses what this page asks then. */
export function currentSession(): string | null {
  return session;
}

export function setSession(id: string | null): void {
  if (id === session) return;
  session = id;
  for (const listener of [...ofSession]) listener();
}

/** Calls it when the page is of another session than before; what it returns ends that. */
export function onSessionChange(listener: () => void): () => void {
  ofSession.add(listener);
  return () => ofSession.delete(listener);
}
