import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import type { JobAnswer } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { count } from "@/components/format";
import { Outcome } from "@/components/Outcome";
import { Failure, Loading, Stale } from "@/components/states";
import { JobStanding } from "@/features/deadLetters/JobStanding";
import { doneCount, JOB_TONES, meantText, wordsOf } from "@/features/deadLetters/jobWords";
import { letters } from "@/features/deadLetters/model";
import { isGone, jobQuery, useCancelJob, useLettersChanged } from "@/services/deadLetters";

interface JobProps {
  readonly id: string;
  readonly onClose: () => void;
  readonly unable: string | null;
}

/** A job that redrives or discards: how far it is while it runs, then what came of it. */
export function Job({ id, onClose, unable }: JobProps) {
  const job = useQuery(jobQuery(id));
  const changed = useLettersChanged();
  const cancel = useCancelJob(id);
  const hasGone = isGone(job.error) && job.data?.state === "running";
  const state = hasGone ? "lost" : job.data?.state;
  const isRunning = state === "running";
  // biome-ignore lint/correctness/useExhaustiveDependencies: the list is asked for again when it has ended
  useEffect(() => {
    if (state !== undefined && state !== "running") changed();
  }, [state]);
  return (
    <section
      aria-labelledby="job"
      className="space-y-3 rounded-lg border border-accent bg-surface p-4"
    >
      <div className="flex flex-wrap items-center gap-3">
        <h2 className="font-medium" id="job">
          {job.data ? `${wordsOf(job.data).verb} job` : "Job"}
        </h2>
        {state && <Badge tone={JOB_TONES[state] ?? "idle"}>{state}</Badge>}
        <div className="ml-auto flex gap-2">
          {isRunning && job.error && <Stale error={job.error} />}
          {isRunning && (
            <Button onClick={() => cancel.start(undefined)} unable={unable}>
              {cancel.isPending ? "Cancelling…" : "Cancel the job"}
            </Button>
          )}
          <Button onClick={onClose}>{isRunning ? "Hide" : "Close"}</Button>
        </div>
      </div>
      {job.isPending && <Loading rows={1} what="the job" />}
      {job.isError && !job.data && (
        <Failure
          error={job.error}
          onRetry={isGone(job.error) ? undefined : job.refetch}
          what="The job cannot be shown"
        />
      )}
      {job.data && (hasGone ? <Lost job={job.data} /> : <Shown job={job.data} />)}
      {isRunning && (
        <Outcome
          act={cancel}
          may="The job may have been cancelled"
          not="The job was not cancelled"
          onLook={() => void job.refetch()}
        />
      )}
    </section>
  );
}

function Shown({ job }: { readonly job: JobAnswer }) {
  return (
    <>
      <p className="text-dim">For {meantText(job)}.</p>
      <JobStanding isFollowed job={job} />
    </>
  );
}

/** The server that ran it has stopped. */
function Lost({ job }: { readonly job: JobAnswer }) {
  const { failed_count, matched_count } = job;
  const dealtCount = doneCount(job) + failed_count;
  const far = matched_count
    ? `When it was last seen it had dealt with ${count(dealtCount)} of ${letters(matched_count)}.`
    : "It was never seen to deal with any.";
  return (
    <p aria-live="polite">
      It has ended with its server. {far} What it had not come to is still there: begin again for
      the rest.
    </p>
  );
}
