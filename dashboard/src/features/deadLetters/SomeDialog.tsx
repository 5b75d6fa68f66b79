import { useState } from "react";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Progress } from "@/components/Progress";
import { Failure } from "@/components/states";
import { type Batch, runBatch } from "@/features/deadLetters/batch";
import type { Act } from "@/features/deadLetters/LetterDetail";
import { letters } from "@/features/deadLetters/model";
import { useBatch } from "@/features/deadLetters/useBatch";
import { discardOne, redriveOne, useLettersChanged } from "@/services/deadLetters";

interface SomeDialogProps {
  readonly act: Act;
  readonly ids: readonly string[];
  readonly onClose: () => void;
  readonly onDone: () => void;
  readonly where: string;
}

const WORDS = {
  discard: { act: discardOne, did: "Discarded", does: "Discarding", verb: "Discard" },
  redrive: { act: redriveOne, did: "Redriven", does: "Redriving", verb: "Redrive" },
} as const;

/** Redrives or discards those that were chosen, one after the other. */
export function SomeDialog({ act, ids, onClose, onDone, where }: SomeDialogProps) {
  // Those that were meant when it was opened.
  const [meant] = useState(ids);
  const changed = useLettersChanged();
  const { batch, begin, error, stop } = useBatch(changed);
  const { act: one, verb } = WORDS[act];
  const run = () => void begin((onStep, signal) => runBatch(meant, one, onStep, signal));
  const isRunning = batch?.state === "running";
  const close = () => {
    stop();
    if (batch && batch.failed.length === 0) onDone();
    onClose();
  };
  return (
    <Modal onClose={close} open title={`${verb} ${letters(meant.length)}?`}>
      <div className="space-y-4">
        {!batch && <Consequences act={act} where={where} />}
        {batch && <Outcome act={act} batch={batch} />}
        {error !== null && <Failure error={error} what="It was not finished" />}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={isRunning ? stop : close}>
            {isRunning ? "Stop" : batch ? "Close" : "Cancel"}
          </Button>
          {!batch && (
            <Button look={act === "discard" ? "danger" : "primary"} onClick={run}>
              {verb} {letters(meant.length)}
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}

function Consequences({ act, where }: { readonly act: Act; readonly where: string }) {
  const said =
    act === "discard"
      ? ["Nothing brings them back: their payloads are gone, if the log has not got them any more."]
      : [
          `Delivered again to ${where}, with attempts counted from 1.`,
          "They stay in the list, marked as redriven; one that dies again counts as not redriven.",
        ];
  return (
    <ul className="list-disc space-y-1 pl-5">
      {said.map((each) => (
        <li key={each}>{each}</li>
      ))}
      <li>It is in the audit log, one entry each, or how many they were.</li>
    </ul>
  );
}

/** How far it is, or what came of it. */
export function Outcome({ act, batch }: { readonly act: Act; readonly batch: Batch }) {
  const { did, does } = WORDS[act];
  const { doneCount, failed, state, total } = batch;
  const over = state === "cancelled" ? " Stopped; the others were left as they are." : "";
  return (
    <div className="space-y-3">
      {state === "running" ? (
        <Progress done={doneCount + failed.length} label={does} of={total} />
      ) : (
        <p aria-live="polite">
          {did}: {letters(doneCount)}.{over}
        </p>
      )}
      {failed.length > 0 && (
        <div className="rounded-md border border-bad p-3">
          <p className="font-medium text-bad">{letters(failed.length)} could not be:</p>
          <ul className="mt-1 max-h-40 list-disc overflow-y-auto pl-5 text-xs">
            {failed.map(({ id, why }) => (
              <li key={id}>{why}</li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}
