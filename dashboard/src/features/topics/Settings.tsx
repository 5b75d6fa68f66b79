import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { TopicAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { Failure } from "@/components/states";
import { textsOf } from "@/features/topics/model";
import { bounds, RetentionFields, type Texts } from "@/features/topics/RetentionFields";
import { ShrinkTopic } from "@/features/topics/ShrinkTopic";
import { type Loss, lossOf } from "@/features/topics/shrinking";
import { useReasonAgainst } from "@/services/server";
import { topicQuery, useChangeTopic } from "@/services/topics";

export function Settings({ topic }: { readonly topic: TopicAnswer }) {
  const [texts, setTexts] = useState<Texts | null>(null);
  const change = useChangeTopic(topic.name);
  const unable = useReasonAgainst("manage", topic.name);
  const [asked, setAsked] = useState<Loss | null>(null);
  const client = useQueryClient();
  const shown = texts ?? textsOf(topic.retention);
  const wanted = bounds(shown);
  const save = () => {
    if (!wanted) return;
    change.mutate(wanted, {
      onSuccess: () => {
        setTexts(null);
        setAsked(null);
      },
    });
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!wanted || !texts || unable || change.isPending) return;
    // What is shown may be older than what has come since.
    const now = await client
      .fetchQuery({ ...topicQuery(topic.name), staleTime: 0 })
      .catch(() => topic);
    const loss = lossOf(now, wanted);
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
        <RetentionFields onChange={setTexts} texts={shown} />
        {change.error && !asked && <Failure error={change.error} what="Nothing was changed" />}
        <div className="flex items-center gap-3">
          <Button
            look="primary"
            type="submit"
            unable={unable ?? (texts ? null : "Nothing was changed yet")}
          >
            {change.isPending ? "Saving…" : "Save settings"}
          </Button>
          {texts && <Button onClick={() => setTexts(null)}>Undo</Button>}
          <span aria-live="polite" className="text-ok">
            {change.isSuccess && !texts && "Saved."}
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
