import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ArrowRight } from "lucide-react";
import { type FormEvent, useState } from "react";
import type { Moved, SubscriptionAnswer, TopicMove } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER } from "@/components/Another";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { count } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { Failure, Loading } from "@/components/states";
import { Clock } from "@/components/Time";
import { isTyped } from "@/components/typed";
import {
  gapsWords,
  hasGrown,
  meaning,
  placeWords,
  type StartKind,
  seekVerb,
  startOf,
  wantsName,
} from "@/features/subscriptions/model";
import { StartFields } from "@/features/subscriptions/StartFields";
import { serverNow } from "@/live/serverClock";
import {
  type Start,
  type SubscriptionMeant,
  seekPlanQuery,
  useSeek,
} from "@/services/subscriptions";

interface SeekProps {
  readonly onClose: () => void;
  readonly subscription: SubscriptionAnswer;
}

/** Moves a subscription: where to, then what that means, then it is done. */
export function Seek({ onClose, subscription }: SeekProps) {
  const [kind, setKind] = useState<StartKind>("earliest");
  const [typed, setTyped] = useState("");
  const [start, setStart] = useState<Start | null>(null);
  const [opened] = useState(subscription);
  const isOther = subscription.created_at !== opened.created_at;
  const asked = startOf(kind, typed, serverNow());
  const problem = typeof asked === "object" && "problem" in asked ? asked.problem : null;
  const look = (event: FormEvent) => {
    event.preventDefault();
    if (problem === null && !isOther) setStart(asked as Start);
  };
  return (
    <Modal
      about="Moves the place from which it goes on: back, to get messages again, or forward, to skip some. It forgets what is unsettled. Nothing is done before you have seen what it means."
      onClose={onClose}
      open
      title={`Seek ${subscription.name}`}
    >
      <ActForm className="space-y-4" onSubmit={look}>
        <StartFields
          kind={kind}
          onChange={(next, text) => {
            setKind(next);
            setTyped(text);
            setStart(null);
          }}
          problem={problem}
          typed={typed}
        />
        {isOther && <Another what="subscription" />}
        {start === null && (
          <div className="flex flex-wrap justify-end gap-2">
            <Button onClick={onClose}>Cancel</Button>
            <Button look="primary" type="submit" unable={isOther ? IS_OTHER : problem}>
              Preview
            </Button>
          </div>
        )}
      </ActForm>
      {start !== null && (
        <Preview
          isAttached={subscription.subscribers > 0}
          isOther={isOther}
          meant={opened}
          onClose={onClose}
          start={start}
        />
      )}
    </Modal>
  );
}

interface PreviewProps {
  readonly isAttached: boolean;
  readonly isOther: boolean;
  readonly meant: SubscriptionMeant;
  readonly onClose: () => void;
  readonly start: Start;
}

function Preview({ isAttached, isOther, meant, onClose, start }: PreviewProps) {
  const plan = useQuery(seekPlanQuery(meant.name, start));
  if (plan.isPending) return <Loading rows={3} what="what it means" />;
  if (!plan.data) {
    return (
      <div className="mt-4">
        <Failure error={plan.error} onRetry={plan.refetch} what="It cannot be previewed" />
      </div>
    );
  }
  return (
    <div className="mt-4 space-y-4 border-line border-t pt-4">
      <p aria-live="polite" className="font-medium">
        {meaning(plan.data)}
      </p>
      <p className="text-dim">
        Its lag would be {count(plan.data.lag)}.
        {isAttached &&
          " What its subscribers have now comes once more if it lies behind the new place."}
      </p>
      <Gaps plan={plan.data} />
      <Moves plan={plan.data} />
      <Confirm isOther={isOther} meant={meant} onClose={onClose} plan={plan.data} start={start} />
    </div>
  );
}

function Gaps({ plan }: { readonly plan: Moved }) {
  const told = gapsWords(plan);
  return told && <p className="text-warn">Some of what is asked for is not there. {told}</p>;
}

function Moves({ plan }: { readonly plan: Moved }) {
  if (plan.more_topics) return <p className="text-dim">It has more than 20 topics.</p>;
  return (
    <ul
      aria-label="In each topic: the next message now, and after it"
      className="max-h-72 divide-y divide-line overflow-y-auto rounded-md border border-line px-3"
      tabIndex={0}
    >
      {plan.topics.map((move) => (
        <li className="py-2" key={move.topic}>
          <p className="break-all font-medium">{move.topic}</p>
          <p className="flex flex-wrap items-center gap-x-2">
            <Place
              at={move.next_before_at}
              is={move.next_before_is}
              next={move.next_before_seq}
              seq={(move.floor_before ?? 0) + 1}
            />
            <ArrowRight aria-label="to" className="size-4" role="img" />
            <Place at={move.next_at} is={move.next_is} next={move.next_seq} seq={move.floor + 1} />
          </p>
          <p className="text-dim text-xs">
            {count(move.again_count ?? 0)} again, {count(move.skipped_count ?? 0)} skipped, lag{" "}
            {count(move.lag)}
          </p>
        </li>
      ))}
    </ul>
  );
}

interface PlaceProps {
  /** When the first message from `seq` on was published that is stored, and its number. */
  readonly at: string | null | undefined;
  readonly next: number | null | undefined;
  readonly is: TopicMove["next_is"];
  readonly seq: number;
}

function Place({ at, is, next, seq }: PlaceProps) {
  return (
    <span>
      #{count(seq)}{" "}
      <span className="text-dim text-xs">
        {placeWords(is, next)} {at && <Clock at={at} now={Date.now()} />}
      </span>
    </span>
  );
}

interface ConfirmProps extends Omit<PreviewProps, "isAttached"> {
  readonly plan: Moved;
}

function Confirm({ isOther, meant, onClose, plan, start }: ConfirmProps) {
  const { name } = meant;
  const [typed, setTyped] = useState("");
  const [isTold, setTold] = useState(false);
  const client = useQueryClient();
  const seek = useSeek(meant, start);
  const isReady = !wantsName(plan) || isTyped(typed, name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isReady || isOther) return;
    seek.start(
      (now) => hasGrown(now, plan, isTold),
      (grown) => {
        if (grown === null) return onClose();
        setTold(true);
        client.setQueryData(seekPlanQuery(name, start).queryKey, grown);
      },
    );
  };
  return (
    // Without a box: what sticks in it does so within all of the dialog.
    <ActForm className="contents *:mt-4" onSubmit={submit}>
      {isTold && (
        <p className="text-warn" role="alert">
          It has become much more since you looked, and nothing was done yet: this is what it means
          now. What comes until you press the button again is part of it.
        </p>
      )}
      {wantsName(plan) && (
        <Field
          autoComplete="off"
          label={`Type ${name} to seek`}
          onChange={(event) => setTyped(event.target.value)}
          spellCheck={false}
          value={typed}
        />
      )}
      <Outcome act={seek} may="The seek may have been done" not="The seek was not done" />
      <div className="sticky -bottom-5 -mx-5 flex flex-wrap justify-end gap-2 border-line border-t bg-surface px-5 py-3">
        <Leave onClick={onClose}>Leave it</Leave>
        <Button
          look="danger"
          told="before"
          type="submit"
          unable={isOther ? IS_OTHER : isReady ? null : "Type the name of the subscription first"}
        >
          {seek.isPending ? "Seeking…" : seekVerb(plan)}
        </Button>
      </div>
    </ActForm>
  );
}
