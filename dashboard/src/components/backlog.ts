// What is not settled in a topic, as far as the server could count it.

import { count } from "@/components/format";

interface Counted {
  readonly backlog: number;
  readonly more_backlog: boolean;
}

/** Why a number is a bound from below, or is none. */
export const MORE_BACKLOG = "There may be more: not all of its subscriptions could be counted";

/** `1,204`; `over 1,204` if there are more than were counted, and `?` if none was. */
export function backlogText({ backlog, more_backlog }: Counted): string {
  if (!more_backlog) return count(backlog);
  return backlog > 0 ? `over ${count(backlog)}` : "?";
}
