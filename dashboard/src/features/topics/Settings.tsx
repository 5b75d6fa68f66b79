import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { TopicAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { Overtaken } from "@/components/Overtaken";
import { Failure } from "@/components/states";
import { useEdits } from "@/components/useEdits";
import { BOUNDS, type Bound, textsOf } from "@/features/topics/model";
import { changedBounds, RetentionFields } from "@/features/topics/RetentionFields";
import { ShrinkTopic } from "@/features/topics/ShrinkTopic";
import { type Loss, lossOf } from "@/features/topics/shrinking";
import { useReasonAgainst } from "@/services/server";
import { topicQuery, useChangeTopic } from "@/services/topics";

export function Settings({ topic }: { readonly topic: TopicAnswer }) {
  const there = textsOf(topic.retention);
  const { change: type, isEdited, overtaken, shown, undo } = useEdits(there);
  const change = useChangeTopic(topic.name);
  const unable = useReasonAgainst("manage", topic.name);
  const [asked, setAsked] = useState<Loss | null>(null);
  const client = useQueryClient();
  const wanted = changedBounds(shown, there);
  const save = () => {
    if (!wanted) return;
    change.mutate(wanted, {
      onSuccess: () => {
        undo();
        setAsked(null);
      },
    });
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!wanted || !isEdited || unable || change.isPending) return;
    // What is shown may be older than what has come since.
    const now = await client
      .fetchQuery({ ...topicQuery(topic.name), staleTime: 0 })
      .catch(() => topic);
    const loss = lossOf(now, { ...now.retention, ...wanted });
    change.reset();
    if (loss) setAsked(loss);
    else save();
  };
  return (
    <>
      <form className="max-w-md space-y-4" noValidate onSubmit={submit}>
        <p className="text-dim">
          What is over a bound is removed within seconds, the oldest first.
        </p>
        <RetentionFields onChange={type} texts={shown} />
        <Overtaken
          fields={overtaken.map((each) => `${labelOf(each)}, now ${there[each] || "no bound"}`)}
        />
        {change.error && !asked && <Failure error={change.error} what="Nothing was changed" />}
        <div className="flex items-center gap-3">
          <Button
            look="primary"
            type="submit"
            unable={unable ?? (isEdited ? null : "Nothing was changed yet")}
          >
            {change.isPending ? "Saving…" : "Save settings"}
          </Button>
          {isEdited && <Button onClick={undo}>Undo</Button>}
          <span aria-live="polite" className="text-ok">
            {change.isSuccess && !isEdited && "Saved."}
          </span>
        </div>
      </form>
      {asked && (
        <ShrinkTopic
          error={change.error}
          isPending={change.isPending}
          loss={asked}
          name={topic.name}
          onClose={() => setAsked(null)}
          onSave={save}
        />
      )}
    </>
  );
}

const labelOf = (bound: Bound) => BOUNDS.find((each) => each.bound === bound)?.label;
