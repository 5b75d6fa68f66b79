// What time it is where the server is. Questions such as those for the last hour are of its times, and the clock of this
// machine may be wrong by minutes.

/** One answer that says the server's time, in milliseconds since 1970; the first two by this machine's clock. */
export interface Reading {
  readonly answeredAt: number;
  readonly askedAt: number;
  readonly serverAt: number;
}

// What was under way for longer says too little of when it was made.
const TOOK_MAX_MS = 5_000;

/** By how many milliseconds the server's clock is ahead; null if the answer does not tell. */
export function aheadBy({ answeredAt, askedAt, serverAt }: Reading): number | null {
  const tookMs = answeredAt - askedAt;
  // A clock that was set meanwhile has gone back, or took a leap.
  if (!Number.isFinite(serverAt) || tookMs < 0 || tookMs > TOOK_MAX_MS) return null;
  const mayAgree = askedAt <= serverAt && serverAt <= answeredAt;
  return mayAgree ? 0 : serverAt - (askedAt + answeredAt) / 2;
}

let aheadMs = 0;

/** The latest answer that tells counts. */
export function reportServerTime(reading: Reading): void {
  aheadMs = aheadBy(reading) ?? aheadMs;
}

export function serverAheadMs(): number {
  return aheadMs;
}

/** The time by the server's clock, in milliseconds; by this machine's as long as nothing else is known. */
export function serverNow(): number {
  return Date.now() + aheadMs;
}
