// A live connection as a machine: named states, a table of what happens in each, and no clock, no socket, no dice.

/** `off`: nobody wants one. `asking`: for its address, with a ticket where keys are asked for. `waiting`: before the
 * next try. `refused`: trying again is of no use. `away`: nobody sees the page; a browser may keep it for who comes
 * back to it. */
export type LiveState = "asking" | "away" | "off" | "open" | "opening" | "refused" | "waiting";

export interface Machine {
  readonly state: LiveState;
  /** Tries in a row that came to nothing. */
  readonly failures: number;
  /** How long the server has said that it is not to be tried, in milliseconds. */
  readonly afterMs: number;
  /** Why it is not open; null if there is nothing to say. */
  readonly reason: string | null;
}

export type Happening =
  | { readonly kind: "start" | "stop" | "opened" | "due" | "silent" | "left" | "back" }
  | { readonly kind: "addressed"; readonly url: string }
  | {
      readonly kind: "unaddressed";
      readonly afterMs: number;
      readonly mayRetry: boolean;
      readonly reason: string;
    }
  | { readonly kind: "closing"; readonly afterMs: number }
  | { readonly kind: "closed"; readonly code: number; readonly livedMs: number };

export type Effect =
  | { readonly do: "ask" | "drop" }
  | { readonly do: "open"; readonly url: string }
  | { readonly do: "wait"; readonly ms: number };

export type Step = readonly [Machine, readonly Effect[]];

export const OFF: Machine = { afterMs: 0, failures: 0, reason: null, state: "off" };

// As the clients for programs do it: full jitter up to 0.1 · 2^n s, at most 20 s.
export const BACKOFF_FIRST_MS = 100;
export const BACKOFF_MAX_MS = 20_000;
// What lived so long was no failure.
export const STABLE_MS = 10_000;
// What a server may have the page wait: it is not believed to be away for longer.
export const AFTER_MAX_MS = 60_000;

const CODE_UNAUTHENTICATED = 4501;
// The wire is broken: the next connection would end in the same way.
const BROKEN_WIRE: ReadonlySet<number> = new Set([1002, 1003, 1007, 1009]);
/** Why a connection was closed that did not read what came. */
export const TOO_SLOW = "this page was too slow for what came";
const REASONS: Readonly<Record<number, string>> = {
  1009: "what was sent was too large",
  1012: "the server restarts",
  1013: "the server has too many connections",
  4001: "the topic was deleted",
  4008: TOO_SLOW,
  4009: "the subscription was moved by a seek",
  4501: "whoever is signed in is not any more",
  4503: "the key has not got the right any more",
  4529: "too many frames could not be used",
};

type Handler<K extends Happening["kind"]> = (
  machine: Machine,
  happening: Extract<Happening, { kind: K }>,
  roll: number,
) => Step;
type Row = { readonly [K in Happening["kind"]]?: Handler<K> };

const ask = (machine: Machine): Step => [
  { ...machine, afterMs: 0, state: "asking" },
  [{ do: "ask" }],
];
const stop: Handler<"stop"> = () => [OFF, [{ do: "drop" }]];
const left: Handler<"left"> = (machine) => [
  { ...machine, reason: "this page was left", state: "away" },
  [{ do: "drop" }],
];

/** What happens in which state. What a state does not name changes nothing there. */
const TABLE: Readonly<Record<LiveState, Row>> = {
  asking: {
    addressed: (machine, { url }) => [{ ...machine, state: "opening" }, [{ do: "open", url }]],
    left,
    stop,
    unaddressed: (machine, { afterMs, mayRetry, reason }, roll) =>
      mayRetry ? later(told(machine, afterMs), reason, roll) : refused(machine, reason),
  },
  away: { back: ask, stop },
  off: { start: ask },
  open: {
    closed: lost,
    closing: (machine, { afterMs }) => [told(machine, afterMs), []],
    left,
    silent: (machine, _, roll) =>
      later(machine, "the server has gone silent", roll, [{ do: "drop" }]),
    stop,
  },
  opening: {
    closed: lost,
    left,
    opened: (machine) => [{ ...machine, reason: null, state: "open" }, []],
    silent: (machine, _, roll) =>
      later(machine, "the server has gone silent", roll, [{ do: "drop" }]),
    stop,
  },
  refused: {
    start: (machine) => ask({ ...machine, failures: 0, reason: null }),
    stop,
  },
  waiting: { due: ask, left, start: ask, stop },
};

/** The next state, and what is to be done for it. `roll`: from 0 to 1. */
export function step(machine: Machine, happening: Happening, roll: number): Step {
  const handler = TABLE[machine.state][happening.kind] as Handler<Happening["kind"]> | undefined;
  return handler ? handler(machine, happening as never, roll) : [machine, []];
}

export function mayReconnect(code: number): boolean {
  if (code === CODE_UNAUTHENTICATED) return true;
  return !BROKEN_WIRE.has(code) && !(code >= 4500 && code <= 4999);
}

export function backoffMs(failures: number, roll: number): number {
  return roll * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 20));
}

function lost(
  machine: Machine,
  happening: Extract<Happening, { kind: "closed" }>,
  roll: number,
): Step {
  const { code, livedMs } = happening;
  const reason = REASONS[code] ?? "the connection was lost";
  if (!mayReconnect(code)) return refused(machine, reason);
  return later(livedMs >= STABLE_MS ? { ...machine, failures: 0 } : machine, reason, roll);
}

function told(machine: Machine, afterMs: number): Machine {
  return { ...machine, afterMs: Math.min(Math.max(afterMs, 0), AFTER_MAX_MS) };
}

/** The time that the server named is the same for all of its clients, so it is stretched by up to as much again. */
function later(
  machine: Machine,
  reason: string,
  roll: number,
  first: readonly Effect[] = [],
): Step {
  const ms = machine.afterMs * (1 + roll) + backoffMs(machine.failures, roll);
  const next: Machine = { afterMs: 0, failures: machine.failures + 1, reason, state: "waiting" };
  return [next, [...first, { do: "wait", ms }]];
}

function refused(machine: Machine, reason: string): Step {
  return [{ ...machine, afterMs: 0, reason, state: "refused" }, []];
}
