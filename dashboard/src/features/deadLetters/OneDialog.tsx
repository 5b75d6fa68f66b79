import { useMutation } from "@tanstack/react-query";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Failure } from "@/components/states";
import { ACTS, type Act, consequences } from "@/features/deadLetters/acts";
import { letters } from "@/features/deadLetters/model";
import { discardOne, redriveOne, useLettersChanged } from "@/services/deadLetters";

interface OneDialogProps {
  readonly act: Act;
  readonly id: string;
  readonly onClose: () => void;
  readonly onDone: () => void;
  readonly where: string;
}

/** Redrives or discards one, and says what came of it. */
export function OneDialog({ act, id, onClose, onDone, where }: OneDialogProps) {
  const changed = useLettersChanged();
  const one = useMutation({
    mutationFn: () => (act === "redrive" ? redriveOne(id) : discardOne(id)),
    onSettled: changed,
  });
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
        {one.error && <Failure error={one.error} what="It was not done" />}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={close}>{one.isSuccess ? "Close" : "Cancel"}</Button>
          {!one.isSuccess && (
            <Button
              look={act === "discard" ? "danger" : "primary"}
              onClick={() => one.mutate()}
              unable={one.isPending ? "It is under way" : null}
            >
              {one.isPending ? `${doing}…` : `${verb} ${letters(1)}`}
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}
