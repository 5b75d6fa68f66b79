import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { JobAnswer } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { counted } from "@/components/format";
import { Outcome } from "@/components/Outcome";
import { Failure, isForbidden, Stale } from "@/components/states";
import { Time } from "@/components/Time";
import { useServerNow } from "@/components/useNow";
import { useStill } from "@/components/useStill";
import { JobStanding } from "@/features/deadLetters/JobStanding";
import { JOB_TONES, meantText, parted, wordsOf } from "@/features/deadLetters/jobWords";
import { jobsQuery, useCancelJob } from "@/services/deadLetters";

interface JobsProps {
  /** The job that is shown by itself. */
  readonly but: string | undefined;
  readonly onOpen: (id: string) => void;
  readonly unable: string | null;
}

const keyOf = ({ id }: JobAnswer) => id ?? "";

/** Jobs of everybody: those that run, and folded those that ended lately. Nothing, where there are none. */
export function Jobs({ but, onOpen, unable }: JobsProps) {
  const jobs = useQuery(jobsQuery());
  const now = useServerNow();
  const all = jobs.data?.jobs ?? [];
  const { ended, running } = parted(all, but, now);
  // One that ends stays in its place, or its button would be that of the next one.
  const { gone, hold, rows: still } = useStill(running, keyOf);
  const rows = still.filter(({ id }) => id !== but);
  const folded = ended.filter((job) => !gone.has(keyOf(job)));
  // Mostly there are none: a place that is kept for them would come and go.
  if (jobs.isPending) return null;
  if (!jobs.data) {
    // The list says it.
    if (isForbidden(jobs.error)) return null;
    return <Failure error={jobs.error} onRetry={jobs.refetch} what="Jobs cannot be listed" />;
  }
  const { unanswered, unanswered_count: silentCount } = jobs.data;
  if (running.length + ended.length + silentCount === 0) return null;
  return (
    <section
      aria-labelledby="jobs"
      className="space-y-3 rounded-lg border border-line bg-surface p-4"
    >
      <div className="flex flex-wrap items-center gap-3">
        <h2 className="font-medium" id="jobs">
          {running.length > 0 ? `${counted(running.length, "job")} running` : "Jobs"}
        </h2>
        {jobs.isError && <Stale error={jobs.error} />}
      </div>
      {silentCount > 0 && (
        <p className="text-warn">
          Without the jobs of {counted(silentCount, "node")} that did not answer
          {unanswered?.length ? `: ${unanswered.join(", ")}` : ""}.
        </p>
      )}
      {rows.length > 0 && (
        <ul className="space-y-4" {...hold}>
          {rows.map((job) => (
            <li className="min-h-26 max-sm:min-h-44" key={job.id}>
              {gone.has(keyOf(job)) ? (
                <Ended job={all.find(({ id }) => id === job.id) ?? job} onOpen={onOpen} />
              ) : (
                <Running job={job} onOpen={onOpen} unable={unable} />
              )}
            </li>
          ))}
        </ul>
      )}
      {folded.length > 0 && <Folded jobs={folded} onOpen={onOpen} />}
    </section>
  );
}

interface FoldedProps {
  readonly jobs: readonly JobAnswer[];
  readonly onOpen: (id: string) => void;
}

function Folded({ jobs, onOpen }: FoldedProps) {
  return (
    <details>
      <summary className="w-fit cursor-pointer py-1 text-dim">
        {counted(jobs.length, "job")} ended in the last hour
      </summary>
      <ul className="mt-2 space-y-3">
        {jobs.map((job) => (
          <li key={job.id}>
            <Ended job={job} onOpen={onOpen} />
          </li>
        ))}
      </ul>
    </details>
  );
}

interface OneProps {
  readonly job: JobAnswer;
  readonly onOpen: (id: string) => void;
}

function Running({ job, onOpen, unable }: OneProps & Pick<JobsProps, "unable">) {
  const cancel = useCancelJob(job.id ?? "");
  const word = cancel.isPending ? "Cancelling…" : "Cancel";
  return (
    <div className="space-y-2">
      <Head job={job} onOpen={onOpen}>
        <Button
          aria-label={`${word} the job that ${phrase(job)}`}
          onClick={() => cancel.start(undefined)}
          unable={unable}
        >
          {word}
        </Button>
      </Head>
      <JobStanding job={job} label={phrase(job)} />
      <Outcome
        act={cancel}
        may="The job may have been cancelled"
        not="The job was not cancelled"
        onLook={cancel.look}
      />
    </div>
  );
}

function Ended({ job, onOpen }: OneProps) {
  return (
    <div className="space-y-1">
      <Head job={job} onOpen={onOpen} />
      <JobStanding job={job} />
    </div>
  );
}

const phrase = (job: JobAnswer) =>
  `${job.action === "discard" ? "discards" : "redrives"} ${meantText(job)}`;

interface HeadProps extends OneProps {
  readonly children?: ReactNode;
}

function Head({ children, job, onOpen }: HeadProps) {
  const { finished_at, id, node, started_at, state } = job;
  const word = finished_at === null ? "Follow" : "Show";
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <Badge tone={JOB_TONES[state] ?? "idle"}>{state}</Badge>
      <p className="min-w-0 break-words">
        <span className="font-medium">{wordsOf(job).verb}</span> {meantText(job)}
      </p>
      <p className="text-dim text-xs">
        {finished_at === null ? "started " : "ended "}
        <Time at={finished_at ?? started_at ?? ""} />
        {node && ` at ${node}`}
      </p>
      <div className="ml-auto flex gap-2">
        {children}
        <Button
          aria-label={`${word} the job that ${phrase(job)}`}
          look="quiet"
          onClick={() => id && onOpen(id)}
        >
          {word}
        </Button>
      </div>
    </div>
  );
}
