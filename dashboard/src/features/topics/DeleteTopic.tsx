import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { TopicAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER } from "@/components/Another";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { counted } from "@/components/format";
import { Modal, useOfTenant } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { isTyped } from "@/components/typed";
import { storedCount } from "@/features/topics/model";
import { useDeleteTopic } from "@/services/topics";

interface DeleteTopicProps {
  readonly onClose: () => void;
  readonly topic: TopicAnswer;
}

export function DeleteTopic({ onClose, topic }: DeleteTopicProps) {
  return (
    <Modal onClose={onClose} open title={`Delete ${topic.name}?`}>
      <Form onClose={onClose} topic={topic} />
    </Modal>
  );
}

function Form({ onClose, topic }: DeleteTopicProps) {
  const [typed, setTyped] = useState("");
  const navigate = useNavigate();
  const of = useOfTenant();
  const [opened] = useState(topic);
  const remove = useDeleteTopic(opened);
  const isOther = topic.epoch !== opened.epoch && !remove.isPending;
  const stored = counted(storedCount(topic), "message");
  const isSame = isTyped(typed, topic.name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isSame) return;
    const done = () => {
      onClose();
      void navigate({ search: { q: "" }, to: "/topics" });
    };
    remove.start(undefined, done, () => `Topic “${topic.name}”${of} was deleted, ${stored}`);
  };
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <ul className="list-disc space-y-1 pl-5">
        <li>It is gone with {stored}; nothing brings them back.</li>
        <li>
          {counted(topic.subscriber_count, "subscriber")}{" "}
          {topic.subscriber_count === 1 ? "is" : "are"} attached: who has named this topic is
          disconnected.
        </li>
        <li>Its dead letters stay in their list, and none of them can be redriven any more.</li>
        <li>
          Durable subscriptions stay. Whoever comes back to it without create: false makes it anew,
          empty.
        </li>
      </ul>
      <Field
        autoComplete="off"
        label={`Type ${topic.name} to delete it`}
        onChange={(event) => setTyped(event.target.value)}
        spellCheck={false}
        value={typed}
      />
      {isOther && <Another what="topic" />}
      <Outcome act={remove} may="The topic may have been deleted" not="The topic was not deleted" />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onClose}>Keep it</Leave>
        <Button
          look="danger"
          type="submit"
          told="before"
          unable={isOther ? IS_OTHER : isSame ? null : "Type the name of the topic first"}
        >
          {remove.isPending ? "Deleting…" : `Delete topic and ${stored}`}
        </Button>
      </div>
    </ActForm>
  );
}
