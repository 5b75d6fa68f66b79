import type { FormEvent } from "react";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Failure } from "@/components/states";
import { type Loss, removal } from "@/features/topics/shrinking";

interface ShrinkTopicProps {
  readonly error: unknown;
  readonly isPending: boolean;
  readonly loss: Loss;
  readonly name: string;
  readonly onClose: () => void;
  readonly onSave: () => void;
}

/** Asks before a topic keeps less than it has. */
export function ShrinkTopic({ error, isPending, loss, name, onClose, onSave }: ShrinkTopicProps) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isPending) onSave();
  };
  return (
    <Modal onClose={onClose} open title={`Keep less of ${name}?`}>
      <form className="space-y-4" onSubmit={submit}>
        <ul className="list-disc space-y-1 pl-5">
          {loss.about.map((each) => (
            <li key={each}>{each}</li>
          ))}
          <li>They go within seconds, and nothing brings them back.</li>
          <li>Subscribers that have not got them never will; they are told of a gap.</li>
        </ul>
        {error !== null && <Failure error={error} what="Nothing was changed" />}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={onClose}>Keep them</Button>
          <Button look="danger" type="submit">
            {isPending ? "Saving…" : removal(loss)}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
