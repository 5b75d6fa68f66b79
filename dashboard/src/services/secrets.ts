// Secrets of keys that the server has told, once. They are of no page: what page there is may go meanwhile, with its
// rights, its tenant or who has signed in. Nothing writes them anywhere.

import { useSyncExternalStore } from "react";
import type { KeyCreated } from "@/api/schema";

let waiting: readonly KeyCreated[] = [];
const listeners = new Set<() => void>();

/** It is shown until somebody puts it away; several are shown one after the other. */
export function keepSecret(made: KeyCreated): void {
  set([...waiting, made]);
}

/** Forgets the one that is shown. */
export function putSecretAway(): void {
  set(waiting.slice(1));
}

const shown = () => waiting[0];

/** The one to be shown. */
export function useSecret(): KeyCreated | undefined {
  return useSyncExternalStore(subscribe, shown);
}

function set(next: readonly KeyCreated[]): void {
  waiting = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
