// Secrets of keys that the server has told, once. They are of no page, which may go meanwhile with its rights or its
// tenant, but of who has asked: nobody else finds them. Nothing writes them anywhere.

import { useSyncExternalStore } from "react";
import type { KeyCreated } from "@/api/schema";
import { parted, Signal } from "@/live/acquaintance";

let waiting: readonly KeyCreated[] = [];
// How often somebody has gone: what was asked for before is for nobody who is here.
let partings = 0;
const changed = new Signal();
parted.on(forgetSecrets);

/** For who asks for a secret now: keeps it for him, unless he has gone by then. It is shown until he puts it away;
 * several are shown one after the other. */
export function secretKeeper(): (made: KeyCreated) => void {
  const before = partings;
  return (made) => {
    if (partings === before) set([...waiting, made]);
  };
}

/** Whom they were for has signed out, or somebody else is here. A session that has ended is neither. */
export function forgetSecrets(): void {
  partings += 1;
  set([]);
}

/** Forgets the one that is shown. */
export function putSecretAway(): void {
  set(waiting.slice(1));
}

const shown = () => waiting[0];

/** The one to be shown. */
export function useSecret(): KeyCreated | undefined {
  return useSyncExternalStore(changed.on, shown);
}

function set(next: readonly KeyCreated[]): void {
  waiting = next;
  changed.say();
}
