import type { FormEvent } from "react";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { foreign } from "@/components/foreign";
import { count } from "@/components/format";
import { Segments } from "@/components/Segments";
import { InboxList } from "@/features/playground/InboxList";
import { SETTLED_COUNT } from "@/features/playground/inbox";
import { type PlaygroundLook, startProblem } from "@/features/playground/look";
import type { Session, SessionView } from "@/features/playground/session";
import { read, type Terms, termProblems } from "@/features/playground/terms";
import { useReasonAgainstSubscribing } from "@/services/server";

interface SubscribePanelProps {
  readonly look: PlaygroundLook;
  readonly onLook: (change: Partial<PlaygroundLook>) => void;
  readonly onTerms: (change: Partial<Terms>) => void;
  readonly session: Session;
  readonly terms: Terms;
  readonly view: SessionView;
}

const ACKS = [
  ["explicit", "By hand"],
  ["auto", "By itself"],
] as const;

export function SubscribePanel(props: SubscribePanelProps) {
  const { session, view } = props;
  return (
    <div className="space-y-3">
      <Form {...props} />
      <div aria-live="polite" className="space-y-1">
        {view.problem && (
          <p className="text-bad">
            {foreign(view.problem.message)} ({view.problem.code})
            {view.following === "waiting" && "; it is tried again"}
          </p>
        )}
        {view.note && <p className="text-warn">{view.note}</p>}
        {view.following === "on" && <Came view={view} />}
      </div>
      <InboxList session={session} view={view} />
    </div>
  );
}

function Came({
  view: { leftOut, seenCount, shownCount, wanted },
}: {
  readonly view: SessionView;
}) {
  const { inFlightCount, isSettledCut } = leftOut;
  return (
    <p className="text-dim text-xs tabular-nums">
      Subscribed to {wanted?.topic}
      {wanted?.subscription && ` as ${wanted.subscription}`}; {count(seenCount)} came
      {wanted?.ack === "auto" &&
        shownCount < seenCount &&
        `, ${count(shownCount)} shown: it is a sample of what is too fast to read`}
      {isSettledCut &&
        `; of those that are done with, the newest ${count(SETTLED_COUNT)} are listed`}
      {inFlightCount > 0 && `; ${count(inFlightCount)} in flight are not listed`}
    </p>
  );
}

function Form({ look, onLook, onTerms, session, terms, view }: SubscribePanelProps) {
  const { ackWaitMs, windowCount } = read(terms);
  const pattern = look.pattern || look.topic;
  const unable = useReasonAgainstSubscribing(pattern, look.name);
  const problems = termProblems(terms);
  const atStart = startProblem(look.start);
  // How long an ack may take is a setting of a durable one, which has its own.
  const inTerms = problems.most ?? (look.name === "" ? problems.waitS : null);
  const wrong = atStart ?? inTerms;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (unable || wrong) return;
    session.follow({
      ack: look.ack,
      ackWaitMs,
      start: look.start,
      subscription: look.name,
      topic: pattern,
      windowCount,
    });
  };
  return (
    <form className="space-y-3" noValidate onSubmit={submit}>
      <div className="grid gap-3 sm:grid-cols-2">
        <Field
          autoComplete="off"
          hint="Or a pattern: orders.*, orders.>"
          label="Topic or pattern"
          onChange={({ target }) => onLook({ pattern: target.value })}
          placeholder={look.topic}
          spellCheck={false}
          value={look.pattern}
        />
        <Field
          autoComplete="off"
          hint="Empty: it ends with this page"
          label="Name, if it is durable"
          onChange={({ target }) => onLook({ name: target.value })}
          spellCheck={false}
          value={look.name}
        />
        <Field
          autoComplete="off"
          hint="new, earliest, a number, a time"
          label="Begins at"
          onChange={({ target }) => onLook({ start: target.value })}
          problem={atStart}
          spellCheck={false}
          value={look.start}
        />
        <div className="space-y-1">
          <p className="font-medium">Acked</p>
          <Segments
            chosen={look.ack}
            label="How messages are acked"
            onChoose={(ack) => onLook({ ack })}
            options={ACKS}
          />
        </div>
      </div>
      <div className={`flex flex-wrap gap-3 ${inTerms ? "" : "items-end"}`}>
        {look.name === "" && (
          <div className="w-36">
            <Field
              inputMode="numeric"
              label="Seconds for an ack"
              onChange={({ target }) => onTerms({ waitS: target.value })}
              problem={problems.waitS}
              value={terms.waitS}
            />
          </div>
        )}
        <div className="w-36">
          <Field
            inputMode="numeric"
            label="At once, at most"
            onChange={({ target }) => onTerms({ most: target.value })}
            problem={problems.most}
            value={terms.most}
          />
        </div>
        {view.wanted ? (
          // Two elements, not one that changes: the click would go on to submit the form.
          <Button key="leave" onClick={() => session.leave()}>
            Unsubscribe
          </Button>
        ) : (
          <Button
            key="follow"
            look="primary"
            told="after"
            type="submit"
            unable={
              unable ??
              (atStart && "Mend where it begins first") ??
              (inTerms && "Mend how much it takes first")
            }
          >
            Subscribe
          </Button>
        )}
      </div>
      {look.name !== "" && !view.wanted && (
        <p className="text-warn text-xs">
          A durable subscription shares its messages: what this page gets, others who use{" "}
          {look.name} do not get.
        </p>
      )}
    </form>
  );
}
