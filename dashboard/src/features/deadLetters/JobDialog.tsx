import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { JobAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { duration } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { Failure, Loading } from "@/components/states";
import { ACTS, type Act, consequences } from "@/features/deadLetters/acts";
import { letters, type Meant, wholeWithin, within } from "@/features/deadLetters/model";
import { planJob, useStartJob } from "@/services/deadLetters";

interface JobDialogProps {
  readonly act: Act;
  /** A filter by age means the same letters from the count to the end: fixed when it is opened. */
  readonly meant: Meant;
  readonly onClose: () => void;
  readonly onJob: (id: string) => void;
  readonly what: string;
}

const RATE_MIN_PER_S = 0.01;
const RATE_MAX_PER_S = 10_000;
const MAX_COUNT = 100_000;

/** Redrives or discards many, as a job of the server: first how many they are. */
export function JobDialog({ act, meant, onClose, onJob, what }: JobDialogProps) {
  const plan = useQuery({
    gcTime: 0,
    queryFn: ({ signal }) => planJob(act, meant, signal),
    queryKey: ["plans", act, meant],
  });
  return (
    <Modal onClose={onClose} open title={`${ACTS[act].verb} ${what}?`}>
      {plan.isPending ? (
        <Loading rows={2} what="how many match" />
      ) : plan.isError ? (
        <Failure error={plan.error} onRetry={plan.refetch} what="They cannot be counted" />
      ) : plan.data.matched_count === 0 ? (
        <div className="space-y-4">
          <p>{nothing(act, meant)}</p>
          <div className="flex justify-end">
            <Button onClick={onClose}>Close</Button>
          </div>
        </div>
      ) : (
        <JobForm act={act} meant={meant} onClose={onClose} onJob={onJob} plan={plan.data} />
      )}
    </Modal>
  );
}

function nothing(act: Act, meant: Meant): string {
  if ("ids" in meant) {
    return `None of them is there any more${act === "redrive" ? ", or they were redriven" : ""}.`;
  }
  return act === "redrive" ? "Nothing matches that was not redriven yet." : "Nothing matches.";
}

interface JobFormProps extends Omit<JobDialogProps, "what"> {
  readonly plan: JobAnswer;
}

function JobForm({ act, meant, onClose, onJob, plan }: JobFormProps) {
  const { ratePerS, verb } = ACTS[act];
  const [rateText, setRateText] = useState(ratePerS);
  const [mostText, setMostText] = useState(String(MAX_COUNT));
  const job = useStartJob(act, meant, plan.started_at);
  const rate = within(rateText, RATE_MIN_PER_S, RATE_MAX_PER_S);
  const most = wholeWithin(mostText, MAX_COUNT);
  const matched = plan.matched_count;
  const amount = Math.min(matched, most ?? matched);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (rate === null || most === null) return;
    job.start({ max_count: most, rate_per_s: rate }, ({ id }) => {
      if (id) onJob(id);
      onClose();
    });
  };
  const about = rate ? `: in about ${duration(Math.max(1, amount / rate))}` : "";
  const fate = act === "redrive" ? "delivered again" : "deleted for good";
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <p>
        {letters(matched)} would be {fate}, the oldest first{about}.
      </p>
      {plan.error && <p className="text-warn">{plan.error}</p>}
      <ul className="list-disc space-y-1 pl-5 text-dim">
        {consequences(act, "the subscription each died on").map((each) => (
          <li key={each}>{each}</li>
        ))}
        <li>
          It runs at the server as a job, also when this page is closed, and can be cancelled.
        </li>
      </ul>
      <div className="grid gap-4 sm:grid-cols-2">
        <Field
          inputMode="decimal"
          label="So many in a second"
          onChange={(event) => setRateText(event.target.value)}
          problem={rate === null ? `A number from ${RATE_MIN_PER_S} to ${RATE_MAX_PER_S}.` : null}
          value={rateText}
        />
        <Field
          hint="If more match, the newest."
          inputMode="numeric"
          label="At most so many"
          onChange={(event) => setMostText(event.target.value)}
          problem={most === null ? `A whole number up to ${MAX_COUNT}.` : null}
          value={mostText}
        />
      </div>
      <Outcome act={job} may="The job may have been started" not="The job was not started" />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onClose}>Cancel</Leave>
        <Button
          look={act === "discard" ? "danger" : "primary"}
          told="before"
          type="submit"
          unable={rate === null || most === null ? "Mend what is typed first" : null}
        >
          {job.isPending ? "Starting…" : `${verb} ${letters(amount)}`}
        </Button>
      </div>
    </ActForm>
  );
}
