// Jobs that redrive or discard, in words: for which letters, how far, and what came of it.

import type { JobAnswer, LettersMeant } from "@/api/schema";
import { count, duration, rate } from "@/components/format";
import type { Tone } from "@/components/stateColours";
import { exactly } from "@/components/times";
import { ACTS } from "@/features/deadLetters/acts";
import { chips, letters } from "@/features/deadLetters/model";

export const JOB_TONES: Readonly<Record<string, Tone>> = {
  cancelled: "warn",
  done: "ok",
  failed: "bad",
  lost: "warn",
  running: "info",
};

// Who comes back looks for what has ended meanwhile, and not for what ended yesterday.
const LATELY_MS = 3_600_000;
// A dialog counts those that are dead by then; so much later its job was about older ones on purpose.
const COUNTED_BEFORE_MS = 600_000;

export const wordsOf = ({ action }: JobAnswer) =>
  ACTS[action === "discard" ? "discard" : "redrive"];

/** Those that it was started for, and that it has done. */
export const doneCount = (job: JobAnswer) => job.redriven_count + job.discarded_count;

/** Those that run, the newest last so that no other moves when one is started, and those that have ended lately. `but`: one that is shown elsewhere. */
export function parted(jobs: readonly JobAnswer[], but: string | undefined, now: number) {
  const others = jobs.filter(({ id }) => id !== but);
  const startedAt = ({ id, started_at }: JobAnswer) => `${started_at} ${id}`;
  const isLate = (at: string | null) => at !== null && now - Date.parse(at) <= LATELY_MS;
  return {
    ended: others.filter(({ finished_at, state }) => state !== "running" && isLate(finished_at)),
    running: others
      .filter(({ state }) => state === "running")
      .sort((one, other) => (startedAt(one) < startedAt(other) ? -1 : 1)),
  };
}

/** For which it was started: `dead letters of topic orders`. */
export function meantText({ action, started_at, which }: JobAnswer): string {
  if (!which) return "dead letters";
  const { ids_count, topic } = which;
  if (ids_count != null) {
    const of = topic ? `, of topic ${topic}` : "";
    return `${letters(ids_count)} that ${ids_count === 1 ? "was" : "were"} chosen${of}`;
  }
  const said = [...chips(searched(which)).map(({ text }) => text), ...times(which, started_at)];
  // A redrive takes only those that were not, in any case.
  if (which.redriven != null && action === "discard") {
    said.push(which.redriven ? "that were redriven" : "that were not redriven");
  }
  return said.length === 0 ? "all dead letters" : `dead letters ${said.join(", ")}`;
}

function searched({ q, reason, subscription, topic }: LettersMeant) {
  return {
    q: q ?? undefined,
    reason: reason ?? undefined,
    subscription: subscription ?? undefined,
    topic: topic ?? undefined,
  };
}

function times({ from_time, to_time }: LettersMeant, startedAt: string | null): string[] {
  const isOld =
    to_time != null &&
    startedAt !== null &&
    Date.parse(startedAt) - Date.parse(to_time) > COUNTED_BEFORE_MS;
  return [
    ...(from_time ? [`that died from ${exactly(from_time)}`] : []),
    ...(isOld ? [`that died before ${exactly(to_time)}`] : []),
  ];
}

/** Of one that runs: how fast, and how long it still takes. */
export function paceText(job: JobAnswer): string {
  const leftCount = job.matched_count - doneCount(job) - job.failed_count;
  const left =
    leftCount > 0 ? `, about ${duration(Math.max(1, leftCount / job.rate_per_s))} more` : "";
  return `${wordsOf(job).doing} at ${rate(job.rate_per_s)} in a second${left}.`;
}

/** Of one that has ended: what was done, and what was not. */
export function outcomeText(job: JobAnswer): string {
  const { failed_count, matched_count, state } = job;
  const done = doneCount(job);
  // Of those that others have dealt with meanwhile there is nothing to say before the end.
  const restCount = state === "done" ? matched_count - done - failed_count : 0;
  const gone = restCount
    ? `, ${count(restCount)} ${restCount === 1 ? "was" : "were"} dealt with elsewhere meanwhile`
    : "";
  const also = failed_count ? `, ${count(failed_count)} could not be` : "";
  // Of one that was cut short also how many it was for.
  const isCut = state !== "done" && matched_count > done;
  const told = isCut ? `${count(done)} of ${letters(matched_count)}` : letters(done);
  return `${wordsOf(job).did}: ${told}${also}${gone}.`;
}
