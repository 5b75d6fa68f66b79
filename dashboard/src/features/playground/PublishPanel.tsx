import { Send, Square } from "lucide-react";
import type { FormEvent } from "react";
import { asApiError } from "@/api/errors";
import { Button } from "@/components/Button";
import { Field, inputClass } from "@/components/Field";
import { foreign } from "@/components/foreign";
import { count } from "@/components/format";
import type { Publishing } from "@/features/playground/batch";
import { setDraft } from "@/features/playground/draft";
import { type Drafted, draftProblems, whatToMend } from "@/features/playground/publishing";
import type { Session, SessionView } from "@/features/playground/session";
import { read, type Terms, termProblems } from "@/features/playground/terms";
import { nameProblem } from "@/features/topics/model";
import { useReasonAgainst } from "@/services/server";
import { useCreateTopic } from "@/services/topics";

interface PublishPanelProps {
  readonly draft: Drafted;
  readonly onDraft: (draft: Drafted) => void;
  readonly onTerms: (change: Partial<Terms>) => void;
  readonly onTopic: (topic: string) => void;
  readonly session: Session;
  readonly terms: Terms;
  readonly topic: string;
  readonly view: SessionView;
}

export function PublishPanel(props: PublishPanelProps) {
  const { draft, onDraft, onTerms, onTopic, session, terms, topic, view } = props;
  const { perS, total } = read(terms);
  const unable = useReasonAgainst("publish", topic);
  const problems = draftProblems(draft);
  const { perS: perSProblem, times: timesProblem } = termProblems(terms);
  const wrong = nameProblem(topic)
    ? "Mend the topic first"
    : (whatToMend(draft) ?? (timesProblem || perSProblem ? "Mend how often first" : null));
  const isOpen = view.machine.state === "open";
  const change = (part: Partial<Drafted>) => {
    setDraft(part);
    onDraft({ ...draft, ...part });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (unable || wrong || !isOpen) return;
    session.publish(topic, draft, total, perS);
  };
  return (
    <form className="space-y-3" noValidate onSubmit={submit}>
      <Field
        autoComplete="off"
        label="Topic"
        onChange={({ target }) => onTopic(target.value)}
        problem={nameProblem(topic)}
        spellCheck={false}
        value={topic}
      />
      <Area
        hint="JSON. {{seq}}, {{uuid}} and {{now}} are filled in for each message."
        label="Payload"
        onChange={(payload) => change({ payload })}
        problem={problems.payload}
        rows={7}
        text={draft.payload}
      />
      <div className="grid gap-3 sm:grid-cols-2">
        <Field
          autoComplete="off"
          label="Key"
          onChange={({ target }) => change({ key: target.value })}
          problem={problems.key}
          value={draft.key}
        />
        <Area
          label="Headers, one a line"
          onChange={(headers) => change({ headers })}
          placeholder="trace: {{uuid}}"
          problem={problems.headers}
          rows={3}
          text={draft.headers}
        />
      </div>
      <div className={`flex flex-wrap gap-3 ${timesProblem || perSProblem ? "" : "items-end"}`}>
        <div className="w-28">
          <Field
            inputMode="numeric"
            label="Times"
            onChange={({ target }) => onTerms({ times: target.value })}
            problem={timesProblem}
            value={terms.times}
          />
        </div>
        <div className="w-28">
          <Field
            inputMode="numeric"
            label="A second"
            onChange={({ target }) => onTerms({ perS: target.value })}
            problem={perSProblem}
            value={terms.perS}
          />
        </div>
        {view.publishing.total === null ? (
          // Two elements, not one that changes: the click would go on to submit the form.
          <Button
            key="publish"
            look="primary"
            told="after"
            type="submit"
            unable={unable ?? wrong ?? (isOpen ? null : "There is no connection yet")}
          >
            <Send aria-hidden className="size-4" />
            {total === 1 ? "Publish" : `Publish ${count(total)}`}
          </Button>
        ) : (
          <Button key="stop" onClick={() => session.stopPublishing()}>
            <Square aria-hidden className="size-4" /> Stop
          </Button>
        )}
      </div>
      <Outcome publishing={view.publishing} topic={topic} />
    </form>
  );
}

interface AreaProps {
  readonly hint?: string;
  readonly label: string;
  readonly onChange: (text: string) => void;
  readonly placeholder?: string;
  readonly problem?: string | null;
  readonly rows: number;
  readonly text: string;
}

function Area({ hint, label, onChange, placeholder, problem, rows, text }: AreaProps) {
  const about = `${label.split(",")[0]}-about`;
  return (
    <div className="space-y-1">
      <label className="block font-medium">
        {label}
        <textarea
          aria-describedby={about}
          aria-invalid={problem ? true : undefined}
          className={`${inputClass} mt-1 block font-mono font-normal text-xs leading-relaxed`}
          onChange={({ target }) => onChange(target.value)}
          placeholder={placeholder}
          rows={rows}
          spellCheck={false}
          value={text}
        />
      </label>
      <p className={`text-xs ${problem ? "text-bad" : "text-dim"}`} id={about}>
        {problem ?? hint}
      </p>
    </div>
  );
}

function Outcome({
  publishing,
  topic,
}: {
  readonly publishing: Publishing;
  readonly topic: string;
}) {
  const { failedCount, last, problem, publishedCount, total } = publishing;
  const isMissing = problem?.code === "topic_not_found" && publishing.topic === topic;
  return (
    <div aria-live="polite" className="min-h-6 space-y-2">
      {(publishedCount > 0 || failedCount > 0) && (
        <p className={failedCount > 0 ? "text-warn" : "text-ok"}>
          Published {count(publishedCount)}
          {total !== null && ` of ${count(total)}`}
          {last && `, the last one is ${last.topic} ${last.seq}`}
          {failedCount > 0 && `; refused ${count(failedCount)}`}
        </p>
      )}
      {problem && (
        <p className="text-bad">
          {foreign(problem.message)} ({problem.code})
        </p>
      )}
      {isMissing && <CreateIt topic={topic} />}
    </div>
  );
}

function CreateIt({ topic }: { readonly topic: string }) {
  const create = useCreateTopic();
  const unable = useReasonAgainst("manage", topic);
  // Somebody else may have been faster.
  const isThere =
    create.isSuccess || (create.error && asApiError(create.error).code === "topic_exists");
  if (isThere) return <p className="text-ok">It is there now: publish again.</p>;
  return (
    <>
      <Button onClick={() => create.start({ name: topic, retention: {} })} unable={unable}>
        Create topic {foreign(topic)}
      </Button>
      {create.error && (
        <p className="text-bad">
          {asApiError(create.error).isOutcomeUnknown && "It may have been created: "}
          {foreign(create.error.message)}
        </p>
      )}
    </>
  );
}
