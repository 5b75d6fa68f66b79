// What time the charts show: a range that ends now, or a part of it that was marked with the mouse.

import type { Reach } from "@/services/history";

// The server keeps five minutes by the second, an hour by five seconds, and a day by the minute.
export const RANGES = {
  "5m": { count: 300, intervalS: 1 },
  "15m": { count: 180, intervalS: 5 },
  "1h": { count: 720, intervalS: 5 },
  "6h": { count: 360, intervalS: 60 },
  "24h": { count: 1_440, intervalS: 60 },
} as const satisfies Record<string, Reach>;

export type Range = keyof typeof RANGES;
export const RANGE_NAMES = Object.keys(RANGES) as Range[];

/** In seconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

// A narrower one shows nothing.
const SPAN_LEAST_S = 5;

/** What the address says; null if that is no time to be shown. */
export function spanOf(from: number | undefined, to: number | undefined): Span | null {
  if (from === undefined || to === undefined || to - from < SPAN_LEAST_S) return null;
  return { from, to };
}

/** What to ask for: the finest points that reach so far back. */
export function reachOf(range: Range, span: Span | null, nowS: number): Reach {
  if (span === null) return RANGES[range];
  const reaches: readonly Reach[] = [RANGES["5m"], RANGES["1h"], RANGES["24h"]];
  return reaches.find((each) => span.from >= nowS - each.count * each.intervalS) ?? RANGES["24h"];
}

/** What the charts' axes show. */
export function shownSpan(range: Range, span: Span | null, nowS: number): Span {
  const { count, intervalS } = RANGES[range];
  return span ?? { from: nowS - count * intervalS, to: nowS };
}
