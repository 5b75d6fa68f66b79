// What goes when a topic is to keep less.

import type { Retention, TopicAnswer } from "@/api/schema";
import { bytes, count, counted, exactDuration } from "@/components/format";
import { type Bound, storedCount } from "@/features/topics/model";

export interface Loss {
  /** What of it goes, in words, bound by bound. */
  readonly about: readonly string[];
  /** How many go because of the number of them. */
  readonly messageCount: number;
  /** Whether more may go, of which nobody here knows how many they are. */
  readonly more: boolean;
}

/** What goes once the bounds are others, as far as it can be told; null if nothing does. */
export function lossOf(topic: TopicAnswer, wanted: Retention): Loss | null {
  const stored = storedCount(topic);
  if (stored === 0) return null;
  const { max_age_s, max_bytes, max_messages } = smaller(topic.retention, wanted);
  const about: string[] = [];
  const messageCount = max_messages === null ? 0 : Math.max(stored - max_messages, 0);
  if (messageCount > 0) {
    const last = topic.first_seq + messageCount - 1;
    const which =
      messageCount === 1
        ? `the oldest goes (number ${last})`
        : `the oldest ${count(messageCount)} go (${topic.first_seq} to ${last})`;
    about.push(`At most ${counted(max_messages ?? 0, "message")}: of ${count(stored)} ${which}.`);
  }
  const isTooLarge = max_bytes !== null && topic.stored_bytes > max_bytes;
  if (isTooLarge) {
    about.push(
      `At most ${bytes(max_bytes)}: ${bytes(topic.stored_bytes)} are there, and what is beyond goes, the oldest first.`,
    );
  }
  if (max_age_s !== null) {
    about.push(`At most ${exactDuration(max_age_s)} old: what was published before that goes.`);
  }
  const more = isTooLarge || max_age_s !== null;
  return about.length === 0 ? null : { about, messageCount, more };
}

/** The bounds that are lower than before, or new. */
function smaller(before: Retention, wanted: Retention) {
  const one = (bound: Bound) => {
    const value = wanted[bound] ?? null;
    const had = before[bound] ?? Number.POSITIVE_INFINITY;
    return value !== null && value < had ? value : null;
  };
  return {
    max_age_s: one("max_age_s"),
    max_bytes: one("max_bytes"),
    max_messages: one("max_messages"),
  };
}

/** What the button does. */
export function removal({ messageCount, more }: Loss): string {
  if (messageCount === 0) return "Save and remove what is beyond";
  return `Save and remove ${counted(messageCount, "message")}${more ? " or more" : ""}`;
}
