// What came of acts, for whoever has no dialog of them before him any more.

import { useSyncExternalStore } from "react";
import { parted, Signal } from "@/live/acquaintance";

interface Notice {
  /** Why it was not done; null: it was. */
  readonly error: Error | null;
  readonly id: number;
  readonly text: string;
}

// More at once nobody reads: the oldest go, and of what was done before what was not.
const NOTICES_MAX_COUNT = 5;

let notices: readonly Notice[] = [];
let ids = 0;
const changed = new Signal();
parted.on(() => set([]));

/** Something was done. It is said for some seconds. */
export function confirm(text: string): void {
  add({ error: null, text });
}

/** Something was not done, or may have been. It is said until somebody closes it. */
export function complain(text: string, error: Error): void {
  add({ error, text });
}

export function close(id: number): void {
  set(notices.filter((each) => each.id !== id));
}

export const currentNotices = () => notices;

/** The oldest first. */
export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(changed.on, currentNotices);
}

function add(notice: Omit<Notice, "id">): void {
  ids += 1;
  const all = [...notices, { ...notice, id: ids }];
  const first = all.find(({ error }) => error === null) ?? all[0];
  set(all.length > NOTICES_MAX_COUNT ? all.filter((each) => each !== first) : all);
}

function set(next: readonly Notice[]): void {
  notices = next;
  changed.say();
}
