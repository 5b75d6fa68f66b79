import type { JobAnswer } from "@/api/schema";
import { Progress } from "@/components/Progress";
import { doneCount, outcomeText, paceText, wordsOf } from "@/features/deadLetters/jobWords";

interface JobStandingProps {
  /** Whether who hears the page is told how it goes on. */
  readonly isFollowed?: boolean;
  readonly job: JobAnswer;
  /** Of the progress, where there are several. */
  readonly label?: string;
}

/** How far a job is, or what came of it. */
export function JobStanding({ isFollowed = false, job, label }: JobStandingProps) {
  const { error, failed_count, matched_count } = job;
  const isRunning = job.state === "running";
  return (
    <>
      {isRunning && (
        <Progress
          done={doneCount(job) + failed_count}
          label={label ?? wordsOf(job).doing}
          of={matched_count}
        />
      )}
      <p aria-live={isFollowed ? "polite" : undefined}>
        {isRunning ? paceText(job) : outcomeText(job)}
      </p>
      {error && <p className={errorLook(job)}>{error}</p>}
    </>
  );
}

function errorLook({ failed_count, state }: JobAnswer): string {
  if (state === "running") return "text-warn";
  return state === "done" && !failed_count ? "text-dim" : "text-bad";
}
