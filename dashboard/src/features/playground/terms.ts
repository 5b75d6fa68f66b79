// How often and how fast is published, and how much is taken at once, as it is typed.

import {
  bounded,
  numberProblem,
  RATE_MAX_PER_S,
  REPEAT_MAX_COUNT,
} from "@/features/playground/publishing";

export interface Terms {
  readonly most: string;
  readonly perS: string;
  readonly times: string;
  readonly waitS: string;
}

export const FIRST_TERMS: Terms = { most: "50", perS: "10", times: "1", waitS: "30" };

// As the server bounds them.
const WAIT_MAX_S = 3_600;
const WINDOW_MAX_COUNT = 10_000;

/** What is meant by them. */
export function read({ most, perS, times, waitS }: Terms) {
  return {
    ackWaitMs: bounded(waitS, WAIT_MAX_S) * 1_000,
    perS: bounded(perS, RATE_MAX_PER_S),
    total: bounded(times, REPEAT_MAX_COUNT),
    windowCount: bounded(most, WINDOW_MAX_COUNT),
  };
}

/** Why each of them is not taken as it is typed; null where it is. */
export function termProblems({
  most,
  perS,
  times,
  waitS,
}: Terms): Readonly<Record<keyof Terms, string | null>> {
  return {
    most: numberProblem(most, WINDOW_MAX_COUNT),
    perS: numberProblem(perS, RATE_MAX_PER_S),
    times: numberProblem(times, REPEAT_MAX_COUNT),
    waitS: numberProblem(waitS, WAIT_MAX_S),
  };
}
