import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER } from "@/components/Another";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { count, counted } from "@/components/format";
import { Modal, useOfTenant } from "@/components/Modal";
import { Outcome } from "@/components/Outcome";
import { Failure, Loading } from "@/components/states";
import { isTyped } from "@/components/typed";
import { purgeCountQuery, type TopicMeant, usePurgeTopic } from "@/services/topics";

interface PurgeTopicProps {
  readonly onClose: () => void;
  readonly open: boolean;
  readonly topic: TopicMeant;
}

export function PurgeTopic({ onClose, open, topic }: PurgeTopicProps) {
  return (
    <Modal onClose={onClose} open={open} title={`Purge ${topic.name}?`}>
      <Form onClose={onClose} topic={topic} />
    </Modal>
  );
}

function Form({ onClose, topic }: Omit<PurgeTopicProps, "open">) {
  const [typed, setTyped] = useState("");
  const [done, setDone] = useState(0);
  const [opened] = useState(topic);
  const { name } = opened;
  const purge = usePurgeTopic(opened, setDone);
  const matched = useQuery({ ...purgeCountQuery(name), enabled: !purge.isPending });
  const isOther = topic.epoch !== opened.epoch;
  const of = useOfTenant();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isTyped(typed, name) && !purge.isSuccess)
      purge.start(undefined, onClose, (end) => ended(`“${name}”${of}`, end));
  };
  if (matched.isPending) return <Loading rows={2} what="how many messages there are" />;
  if (!matched.data) {
    return <Failure error={matched.error} onRetry={matched.refetch} what="It cannot be purged" />;
  }
  const { matched_count, through_seq } = matched.data;
  const which = counted(matched_count, "message");
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <ul className="list-disc space-y-1 pl-5">
        <li>
          {which}, up to {through_seq}, and what is published until you press the button; nothing
          brings them back.
        </li>
        <li>Subscribers that have not got them never will; they are told of a gap.</li>
        <li>The topic stays, and so do its subscriptions, its numbering and its dead letters.</li>
      </ul>
      <Field
        autoComplete="off"
        label={`Type ${name} to purge it`}
        onChange={({ target }) => setTyped(target.value)}
        spellCheck={false}
        value={typed}
      />
      {isOther && <Another what="topic" />}
      <Outcome
        act={purge}
        may={`It has ended after ${count(done)} messages, and more may be gone`}
        not={`It has ended after ${count(done)} messages`}
      />
      <div className="flex flex-wrap justify-end gap-2">
        <Keep onClose={onClose} purge={purge} />
        <Button
          look="danger"
          type="submit"
          told="before"
          unable={
            isOther ? IS_OTHER : isTyped(typed, name) ? null : "Type the name of the topic first"
          }
        >
          {purge.isPending ? `Purging, ${count(done)} so far…` : `Purge ${which}`}
        </Button>
      </div>
    </ActForm>
  );
}

interface KeepProps {
  readonly onClose: () => void;
  readonly purge: ReturnType<typeof usePurgeTopic>;
}

/** Before it begins nothing is lost; later what no request has come to yet stays. */
function Keep({ onClose, purge }: KeepProps) {
  const [isStopping, setStopping] = useState(false);
  if (!purge.isPending) return <Button onClick={onClose}>Keep them</Button>;
  const stop = () => {
    setStopping(true);
    purge.stop();
  };
  return (
    <Button onClick={stop} unable={isStopping ? "It stops when its request is answered" : null}>
      {isStopping ? "Stopping…" : "Stop, and keep the rest"}
    </Button>
  );
}

interface End {
  readonly count: number;
  readonly hasMore: boolean;
}

function ended(which: string, { count: purgedCount, hasMore }: End): string {
  const rest = hasMore ? ". It was stopped: the rest is kept" : "";
  return `Topic ${which} was purged, ${counted(purgedCount, "message")}${rest}`;
}
