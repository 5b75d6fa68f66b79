import type { FormEvent } from "react";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { type Loss, removal } from "@/features/topics/shrinking";
import type { useChangeTopic } from "@/services/topics";

interface ShrinkTopicProps {
  readonly change: ReturnType<typeof useChangeTopic>;
  readonly loss: Loss;
  readonly name: string;
  readonly onClose: () => void;
  /** Shows what it keeps now. */
  readonly onLook: () => void;
  readonly onSave: () => void;
}

/** Asks before a topic keeps less than it has. */
export function ShrinkTopic({ change, loss, name, onClose, onLook, onSave }: ShrinkTopicProps) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSave();
  };
  return (
    <Modal onClose={onClose} open title={`Keep less of ${name}?`}>
      <ActForm className="space-y-4" onSubmit={submit}>
        <ul className="list-disc space-y-1 pl-5">
          {loss.about.map((each) => (
            <li key={each}>{each}</li>
          ))}
          <li>They go within seconds, and nothing brings them back.</li>
          <li>Subscribers that have not got them never will; they are told of a gap.</li>
        </ul>
        <Outcome
          act={change}
          may="It may have been changed, and they may be gone"
          not="Nothing was changed"
          onLook={onLook}
        />
        <div className="flex flex-wrap justify-end gap-2">
          <Leave onClick={onClose}>Keep them</Leave>
          <Button look="danger" type="submit">
            {change.isPending ? "Saving…" : removal(loss)}
          </Button>
        </div>
      </ActForm>
    </Modal>
  );
}
