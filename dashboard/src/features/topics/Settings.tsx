import { type FormEvent, useState } from "react";
import type { TopicAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { Failure } from "@/components/states";
import { boundText } from "@/features/topics/model";
import { bounds, RetentionFields, type Texts } from "@/features/topics/RetentionFields";
import { useReasonAgainst } from "@/services/server";
import { useChangeTopic } from "@/services/topics";

export function Settings({ topic }: { readonly topic: TopicAnswer }) {
  const [texts, setTexts] = useState<Texts | null>(null);
  const change = useChangeTopic(topic.name);
  const unable = useReasonAgainst("manage");
  const shown = texts ?? current(topic);
  const wanted = bounds(shown);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wanted && !unable) change.mutate(wanted, { onSuccess: () => setTexts(null) });
  };
  return (
    <form className="max-w-md space-y-4" noValidate onSubmit={submit}>
      <p className="text-dim">What is over a bound is removed within seconds, the oldest first.</p>
      <RetentionFields onChange={setTexts} texts={shown} />
      {change.error && <Failure error={change.error} what="Nothing was changed" />}
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
  );
}

function current({ retention }: TopicAnswer): Texts {
  return {
    max_age_s: boundText("max_age_s", retention.max_age_s),
    max_bytes: boundText("max_bytes", retention.max_bytes),
    max_messages: boundText("max_messages", retention.max_messages),
  };
}
