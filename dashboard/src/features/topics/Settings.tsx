import { type FormEvent, useState } from "react";
import type { TopicAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER_TYPED } from "@/components/Another";
import { Outcome } from "@/components/Outcome";
import { Overtaken } from "@/components/Overtaken";
import { Save } from "@/components/Save";
import { useEdits } from "@/components/useEdits";
import { BOUNDS, type Bound, textsOf } from "@/features/topics/model";
import { changedBounds, RetentionFields } from "@/features/topics/RetentionFields";
import { ShrinkTopic } from "@/features/topics/ShrinkTopic";
import { type Loss, lossOf } from "@/features/topics/shrinking";
import { useReasonAgainst } from "@/services/server";
import { useChangeTopic } from "@/services/topics";

export function Settings({ topic }: { readonly topic: TopicAnswer }) {
  const there = textsOf(topic.retention);
  const edits = useEdits(there, topic.epoch);
  const { change: type, isEdited, isOfAnother, overtaken, shown, undo } = edits;
  const change = useChangeTopic(topic.name);
  const may = useReasonAgainst("manage", topic.name);
  const unable = may ?? (isOfAnother ? IS_OTHER_TYPED : null);
  const [asked, setAsked] = useState<Loss | null>(null);
  const wanted = changedBounds(shown, there);
  const forget = () => {
    undo();
    setAsked(null);
  };
  const save = (isMeant: boolean) => {
    if (!wanted || change.isOut()) return;
    const lossIn = (now: TopicAnswer) => lossOf(now, { ...now.retention, ...wanted });
    const isLossy = (now: TopicAnswer) => !isMeant && lossIn(now) !== null;
    const asking = { epoch: edits.meant, isLossy, retention: wanted };
    change.start(asking, ({ isChanged, topic: now }) => {
      setAsked(isChanged ? null : lossIn(now));
      if (isChanged) undo();
    });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!unable && isEdited) save(false);
  };
  return (
    <>
      <ActForm className="max-w-md space-y-4" isOut={change.isPending} onSubmit={submit}>
        <p className="text-dim">
          What is over a bound is removed within seconds, the oldest first.
        </p>
        <RetentionFields onChange={type} texts={shown} />
        <Overtaken
          fields={overtaken.map((each) => `${labelOf(each)}, now ${there[each] || "no bound"}`)}
        />
        {isOfAnother && <Another way={IS_OTHER_TYPED} what="topic" />}
        <Outcome
          act={change}
          isSaid={asked !== null}
          may="It may have been changed"
          not="Nothing was changed"
          onLook={forget}
        />
        <Save
          isEdited={isEdited}
          isPending={change.isPending}
          isSaved={change.data?.isChanged === true && !isEdited}
          nothing={!isEdited}
          onUndo={undo}
          unable={unable}
        />
      </ActForm>
      {asked && (
        <ShrinkTopic
          change={change}
          loss={asked}
          name={topic.name}
          onClose={() => setAsked(null)}
          onLook={forget}
          onSave={() => save(true)}
        />
      )}
    </>
  );
}

const labelOf = (bound: Bound) => BOUNDS.find((each) => each.bound === bound)?.label;
