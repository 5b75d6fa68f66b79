// What a state looks like, everywhere: a colour, and a sign beside it, because colour alone says nothing to some.

import {
  CircleAlert,
  CircleCheck,
  CircleDashed,
  CirclePause,
  Info,
  type LucideIcon,
  TriangleAlert,
} from "lucide-react";

export interface Look {
  readonly icon: LucideIcon;
  readonly text: string;
}

export const LOOKS = {
  bad: { icon: CircleAlert, text: "text-bad" },
  idle: { icon: CircleDashed, text: "text-dim" },
  info: { icon: Info, text: "text-info" },
  ok: { icon: CircleCheck, text: "text-ok" },
  paused: { icon: CirclePause, text: "text-info" },
  warn: { icon: TriangleAlert, text: "text-warn" },
} as const satisfies Record<string, Look>;

export type Tone = keyof typeof LOOKS;

// Words of the API, and what they mean to who looks.
const TONES: Readonly<Record<string, Tone>> = {
  acked: "ok",
  awaited: "info",
  dead: "bad",
  dialing: "warn",
  discarded: "idle",
  down: "bad",
  draining: "warn",
  dropped: "bad",
  in_flight: "info",
  live: "ok",
  lost: "bad",
  paused: "paused",
  pending: "idle",
  retrying: "warn",
  serving: "ok",
  settled: "idle",
  stale: "warn",
  up: "ok",
};

/** The tone of a state; one that is not known yet is shown without one. */
export function toneOf(state: string): Tone {
  return TONES[state] ?? "idle";
}
