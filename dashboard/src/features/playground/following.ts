// What the playground is subscribed to as a machine: named states, a table of what happens in each, and no clock, no
// socket. Frames of what it was subscribed to before, which come late, are nobody's.

import type { Problem } from "@/features/playground/batch";
import type { GapFrame, MessageFrame, ServerFrame, SubscribedFrame } from "@/live/frames";
import { covers } from "@/services/covers";

export interface Wanted {
  readonly ack: "auto" | "explicit";
  readonly ackWaitMs: number;
  readonly start: string;
  readonly subscription: string;
  readonly topic: string;
  /** Unacked at once, of a subscription that is not durable. */
  readonly windowCount: number;
}

/** `none`: nothing is wanted. `unasked`: there is no connection to ask over. `asking`: there is no answer yet. `on`: it
 * is subscribed. `waiting`: the server could not, and is asked again after a while. */
export type Following =
  | { readonly state: "none" }
  | { readonly state: "unasked" | "waiting"; readonly wanted: Wanted }
  | { readonly state: "asking" | "on"; readonly ref: string; readonly wanted: Wanted };

export type Happening =
  | { readonly kind: "follow"; readonly isOpen: boolean; readonly ref: string; readonly to: Wanted }
  /** The connection is open; or it is time to ask again. */
  | { readonly kind: "opened" | "due"; readonly ref: string }
  /** `lost`: the connection is. `unsent`: what was to ask could not be handed to it. */
  | { readonly kind: "leave" | "lost" | "unsent" }
  | { readonly kind: "heard"; readonly frame: ServerFrame };

export type Effect =
  | { readonly do: "ask"; readonly ref: string; readonly wanted: Wanted }
  | { readonly do: "begun"; readonly frame: SubscribedFrame }
  /** What it had is not its any more. */
  | { readonly do: "gone"; readonly reason: string }
  | { readonly do: "leave"; readonly wanted: Wanted }
  | { readonly do: "take"; readonly frame: GapFrame | MessageFrame; readonly wanted: Wanted }
  | { readonly do: "tell"; readonly problem: Problem }
  | { readonly do: "wait"; readonly ms: number };

export type Step = readonly [Following, readonly Effect[]];

export const NONE: Following = { state: "none" };
/** Before it is asked again, in milliseconds, whatever the server has named. */
export const AGAIN_LEAST_MS = 500;
export const AGAIN_MOST_MS = 60_000;

type Of<State extends Following["state"]> = Extract<Following, { state: State }>;
type Handler<Now, Kind extends Happening["kind"]> = (
  now: Now,
  happening: Extract<Happening, { kind: Kind }>,
) => Step;
type Row<Now> = { readonly [Kind in Happening["kind"]]?: Handler<Now, Kind> };

const LOST = "the connection was lost";
const ask = (wanted: Wanted, ref: string): Step => [
  { ref, state: "asking", wanted },
  [{ do: "ask", ref, wanted }],
];
const forget = (): Step => [NONE, []];
const unasked = ({ wanted }: { readonly wanted: Wanted }): Step => [
  { state: "unasked", wanted },
  [],
];

/** What happens in which state. What a state does not name changes nothing there. `follow` is the same in all. */
const TABLE: {
  readonly [State in Following["state"]]: Row<Of<State> & { readonly state: State }>;
} = {
  asking: {
    heard: answered,
    leave: ({ wanted }) => [NONE, [{ do: "leave", wanted }]],
    lost: unasked,
    unsent: ({ wanted }) => later(wanted, AGAIN_LEAST_MS),
  },
  none: {},
  on: {
    heard: came,
    leave: ({ wanted }) => [
      NONE,
      [
        { do: "leave", wanted },
        { do: "gone", reason: "it was unsubscribed" },
      ],
    ],
    lost: ({ wanted }) => [{ state: "unasked", wanted }, [{ do: "gone", reason: LOST }]],
  },
  unasked: { leave: forget, opened: ({ wanted }, { ref }) => ask(wanted, ref) },
  waiting: { due: ({ wanted }, { ref }) => ask(wanted, ref), leave: forget, lost: unasked },
};

/** The next state, and what is to be done for it, in this order. */
export function step(now: Following, happening: Happening): Step {
  if (happening.kind === "follow") return followed(now, happening);
  const row = TABLE[now.state] as Row<Following>;
  const handler = row[happening.kind] as Handler<Following, Happening["kind"]> | undefined;
  return handler ? handler(now, happening) : [now, []];
}

function followed(
  before: Following,
  { isOpen, ref, to }: Extract<Happening, { kind: "follow" }>,
): Step {
  const [, left] = step(before, { kind: "leave" });
  const [next, asked] = isOpen ? ask(to, ref) : unasked({ wanted: to });
  return [next, [...left, ...asked]];
}

function answered(
  now: Extract<Following, { ref: string }>,
  { frame }: { readonly frame: ServerFrame },
): Step {
  if (!("ref" in frame) || frame.ref !== now.ref) return [now, []];
  if (frame.type === "subscribed") return [{ ...now, state: "on" }, [{ do: "begun", frame }]];
  if (frame.type !== "error") return [now, []];
  const { code, message, retry_after_ms } = frame;
  const told: Effect = { do: "tell", problem: { code, message } };
  if (retry_after_ms === undefined) return [NONE, [told]];
  const [next, effects] = later(now.wanted, retry_after_ms);
  return [next, [told, ...effects]];
}

function came(
  now: Extract<Following, { ref: string }>,
  { frame }: { readonly frame: ServerFrame },
): Step {
  const { wanted } = now;
  if (frame.type === "message" || frame.type === "gap") {
    const isIts = isNamed(wanted, frame) && covers(wanted.topic, frame.topic);
    return [now, isIts ? [{ do: "take", frame, wanted }] : []];
  }
  // With a ref it is the answer to who has left one before.
  const isOver =
    frame.type === "unsubscribed" &&
    frame.ref === undefined &&
    isNamed(wanted, frame) &&
    frame.topic === wanted.topic;
  if (!isOver) return [now, []];
  const message = "the subscription was deleted";
  return [
    NONE,
    [
      { do: "gone", reason: message },
      { do: "tell", problem: { code: "subscription_ended", message } },
    ],
  ];
}

function later(wanted: Wanted, ms: number): Step {
  const bounded = Math.min(Math.max(ms, AGAIN_LEAST_MS), AGAIN_MOST_MS);
  return [{ state: "waiting", wanted }, [{ do: "wait", ms: bounded }]];
}

function isNamed(wanted: Wanted, frame: { readonly subscription?: string | undefined }): boolean {
  return (frame.subscription ?? "") === wanted.subscription;
}
