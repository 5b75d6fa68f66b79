// How moments are told, in three ways and no others. Spelled by digits from the year on, as logs and the command line
// spell them, and not as the browser's language would.

import { duration } from "@/components/format";

/** RFC 3339, or milliseconds since 1970. */
export type At = number | string;

// Clocks differ a little: what is so near is now.
const PAST_MS = 1_000;
const FUTURE_MS = 10_000;
const DAY_CHARS = "2026-11-30".length;
const SECOND_CHARS = "10:00:05".length;

/** In lists and facts: how long ago, or in how long. `now` in milliseconds. */
export function ago(at: At, now: number): string {
  const pastMs = now - ms(at);
  if (pastMs <= -FUTURE_MS) return `in ${duration(-pastMs / 1_000)}`;
  return pastMs < PAST_MS ? "now" : `${duration(pastMs / 1_000)} ago`;
}

/** Where moments are compared: the time of day here, to the millisecond; of another day its date, and no more than
 * seconds. */
export function clock(at: At, now: At): string {
  const told = local(at);
  const day = told.slice(0, DAY_CHARS);
  const time = told.slice(DAY_CHARS + 1);
  if (local(now).startsWith(day)) return time;
  return `${day} ${time.slice(0, SECOND_CHARS)}`;
}

/** In titles and details: here, with the zone, and in UTC, to the millisecond; two lines where lines are kept.
 * `aheadMin`: by how many minutes clocks here are ahead of UTC. */
export function exactly(at: At, aheadMin = ahead(at)): string {
  const utc = `${local(at, 0)} UTC`;
  return aheadMin === 0 ? utc : `${local(at, aheadMin)} ${zone(aheadMin)},\n${utc}`;
}

const ms = (at: At) => (typeof at === "number" ? at : Date.parse(at));

/** By the rules of that day: in summer it may be another. */
const ahead = (at: At) => -new Date(ms(at)).getTimezoneOffset();

function local(at: At, aheadMin = ahead(at)): string {
  const shifted = new Date(ms(at) + aheadMin * 60_000);
  return shifted.toISOString().replace("T", " ").replace("Z", "");
}

function zone(aheadMin: number): string {
  const minutes = Math.abs(aheadMin);
  const parts = [Math.floor(minutes / 60), minutes % 60].map((part) => `${part}`.padStart(2, "0"));
  return `${aheadMin < 0 ? "-" : "+"}${parts.join(":")}`;
}
