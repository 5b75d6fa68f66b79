import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { JobAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { duration } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Failure, Loading } from "@/components/states";
import { runSteps } from "@/features/deadLetters/batch";
import type { Act } from "@/features/deadLetters/LetterDetail";
import {
  described,
  type LettersSearch,
  letters,
  type Which,
  whichOf,
} from "@/features/deadLetters/model";
import { Outcome } from "@/features/deadLetters/SomeDialog";
import { useBatch } from "@/features/deadLetters/useBatch";
import {
  discardSome,
  planDiscard,
  planRedrive,
  type RedriveLimits,
  startRedrive,
  useLettersChanged,
} from "@/services/deadLetters";

interface AllDialogProps {
  readonly act: Act;
  readonly onClose: () => void;
  readonly onJob: (id: string) => void;
  readonly search: LettersSearch;
}

// What a job takes in a second, and at most, if nothing else is typed.
const RATE_PER_S = "50";
const RATE_MAX_PER_S = 10_000;
const MAX_COUNT = 100_000;

/** Redrives or discards all that match: first how many they are. */
export function AllDialog({ act, onClose, onJob, search }: AllDialogProps) {
  // A filter by age means the same letters from the count to the end.
  const [which] = useState(() => whichOf(search, Date.now()));
  const what = described(search);
  const title = act === "redrive" ? `Redrive ${what}?` : `Discard ${what}?`;
  return (
    <Modal onClose={onClose} open title={title}>
      {act === "redrive" ? (
        <Redrive onClose={onClose} onJob={onJob} which={which} />
      ) : (
        <Discard onClose={onClose} which={which} />
      )}
    </Modal>
  );
}

interface RedriveProps {
  readonly onClose: () => void;
  readonly onJob: (id: string) => void;
  readonly which: Which;
}

function Redrive({ onClose, onJob, which }: RedriveProps) {
  const plan = useQuery({
    gcTime: 0,
    queryFn: ({ signal }) => planRedrive(which, signal),
    queryKey: ["plans", "redrive", which],
  });
  if (plan.isPending) return <Loading rows={2} what="how many match" />;
  if (plan.isError) {
    return <Failure error={plan.error} onRetry={plan.refetch} what="They cannot be counted" />;
  }
  if (plan.data.matched_count === 0) {
    return (
      <div className="space-y-4">
        <p>Nothing matches that was not redriven yet.</p>
        <div className="flex justify-end">
          <Button onClick={onClose}>Close</Button>
        </div>
      </div>
    );
  }
  return <JobForm onClose={onClose} onJob={onJob} plan={plan.data} which={which} />;
}

interface JobFormProps extends RedriveProps {
  readonly plan: JobAnswer;
}

function JobForm({ onClose, onJob, plan, which }: JobFormProps) {
  const [rateText, setRateText] = useState(RATE_PER_S);
  const [mostText, setMostText] = useState(String(MAX_COUNT));
  const start = useMutation({
    mutationFn: (limits: RedriveLimits) => startRedrive(which, limits),
    onSuccess: (job) => {
      if (job.id) onJob(job.id);
      onClose();
    },
  });
  const rate = within(rateText, RATE_MAX_PER_S);
  const most = within(mostText, MAX_COUNT);
  const matched = plan.matched_count;
  const amount = Math.min(matched, most ?? matched);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (rate === null || most === null || start.isPending) return;
    start.mutate({ max_count: most, rate_per_s: rate });
  };
  return (
    <form className="space-y-4" noValidate onSubmit={submit}>
      <p>
        {letters(matched)} would be delivered again, each to the subscription it died on, the oldest
        first{rate ? `: in about ${duration(Math.max(1, amount / rate))}` : ""}.
      </p>
      {plan.error && <p className="text-warn">{plan.error}</p>}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field
          inputMode="decimal"
          label="So many in a second"
          onChange={(event) => setRateText(event.target.value)}
          problem={rate === null ? `A number up to ${RATE_MAX_PER_S}.` : null}
          value={rateText}
        />
        <Field
          hint="If more match, the newest."
          inputMode="numeric"
          label="At most so many"
          onChange={(event) => setMostText(event.target.value)}
          problem={most === null ? `A number up to ${MAX_COUNT}.` : null}
          value={mostText}
        />
      </div>
      <p className="text-dim">
        It runs at the server as a job: it can be cancelled, it is in the audit log, and what is
        redriven is marked.
      </p>
      {start.error && <Failure error={start.error} what="The job was not started" />}
      <div className="flex flex-wrap justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button
          look="primary"
          type="submit"
          unable={rate === null || most === null ? "Mend what is typed first" : null}
        >
          {start.isPending ? "Starting…" : `Redrive ${letters(amount)}`}
        </Button>
      </div>
    </form>
  );
}

interface DiscardProps {
  readonly onClose: () => void;
  readonly which: Which;
}

function Discard({ onClose, which }: DiscardProps) {
  const changed = useLettersChanged();
  const { batch, begin, error, stop } = useBatch(changed);
  const plan = useQuery({
    gcTime: 0,
    queryFn: ({ signal }) => planDiscard(which, signal),
    queryKey: ["plans", "discard", which],
  });
  if (plan.isPending) return <Loading rows={2} what="how many match" />;
  if (plan.isError) {
    return <Failure error={plan.error} onRetry={plan.refetch} what="They cannot be counted" />;
  }
  const { matched_count: matched, next } = plan.data;
  const step = async (cursor: string | null) => {
    const done = await discardSome(which, cursor);
    return { doneCount: done.discarded_count, next: done.next };
  };
  const run = () => void begin((onStep, signal) => runSteps(matched, step, onStep, signal));
  const isRunning = batch?.state === "running";
  const amount = `${next ? "at least " : ""}${letters(matched)}`;
  return (
    <div className="space-y-4">
      {batch ? (
        <Outcome act="discard" batch={batch} />
      ) : matched === 0 && !next ? (
        <p>Nothing matches.</p>
      ) : (
        <ul className="list-disc space-y-1 pl-5">
          <li>{amount} would be deleted for good, the newest first. What dies meanwhile stays.</li>
          <li>Nothing brings them back. It is in the audit log.</li>
          <li>It can be stopped; what is discarded by then is gone.</li>
        </ul>
      )}
      {error !== null && <Failure error={error} what="It was not finished" />}
      <div className="flex flex-wrap justify-end gap-2">
        <Button onClick={isRunning ? stop : onClose}>
          {isRunning ? "Stop" : batch || matched === 0 ? "Close" : "Cancel"}
        </Button>
        {!batch && (matched > 0 || next) && (
          <Button look="danger" onClick={run}>
            Discard {amount}
          </Button>
        )}
      </div>
    </div>
  );
}

/** A number above 0 and up to `most`; null if that is not what was typed. */
function within(text: string, most: number): number | null {
  const value = Number(text.trim());
  return text.trim() !== "" && value > 0 && value <= most ? value : null;
}
