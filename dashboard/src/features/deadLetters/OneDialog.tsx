import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { ACTS, type Act, consequences } from "@/features/deadLetters/acts";
import { letters } from "@/features/deadLetters/model";
import { useOne } from "@/services/deadLetters";

interface OneDialogProps {
  readonly act: Act;
  readonly id: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
  readonly where: string;
}

/** Redrives or discards one, and says what came of it. */
export function OneDialog({ act, id, onClose, onDone, where }: OneDialogProps) {
  const one = useOne(act, id);
  const { did, doing, verb } = ACTS[act];
  const close = () => {
    if (one.isSuccess) onDone();
    onClose();
  };
  return (
    <Modal onClose={close} open title={`${verb} ${letters(1)}?`}>
      <div className="space-y-4">
        {one.isSuccess ? (
          <p aria-live="polite">
            {did}: {letters(1)}.
            {act === "redrive" && " It is in the list of those that are redriven."}
          </p>
        ) : (
          <ul className="list-disc space-y-1 pl-5">
            {consequences(act, where, true).map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        )}
        <Outcome
          act={one}
          may={`It may have been ${did.toLowerCase()}`}
          not={`It was not ${did.toLowerCase()}`}
        />
        <div className="flex flex-wrap justify-end gap-2">
          <Leave onClick={close}>{one.isSuccess ? "Close" : "Cancel"}</Leave>
          {!one.isSuccess && (
            <Button
              look={act === "discard" ? "danger" : "primary"}
              onClick={() => one.start(undefined)}
            >
              {one.isPending ? `${doing}…` : `${verb} ${letters(1)}`}
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}
