import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { asApiError } from "@/api/errors";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import {
  nameProblem,
  patternProblem,
  type StartKind,
  startOf,
} from "@/features/subscriptions/model";
import { StartFields } from "@/features/subscriptions/StartFields";
import { serverNow } from "@/live/serverClock";
import { useReasonAgainst } from "@/services/server";
import { type Start, useCreateSubscription } from "@/services/subscriptions";

interface CreateSubscriptionProps {
  readonly onClose: () => void;
}

export function CreateSubscription({ onClose }: CreateSubscriptionProps) {
  return (
    <Modal
      about="It keeps its place when nobody is attached. Whoever subscribes with its name shares its messages."
      onClose={onClose}
      open
      title="Create a subscription"
    >
      <Form onClose={onClose} />
    </Modal>
  );
}

function Form({ onClose }: CreateSubscriptionProps) {
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [kind, setKind] = useState<StartKind>("new");
  const [typed, setTyped] = useState("");
  const [strict, setStrict] = useState(false);
  const [auto, setAuto] = useState(false);
  const [tried, setTried] = useState(false);
  const navigate = useNavigate();
  const create = useCreateSubscription();
  const start = startOf(kind, typed, serverNow());
  const problem = typeof start === "object" && "problem" in start ? start.problem : null;
  const unable = useReasonAgainst("manage", topic);
  const problems = { name: nameProblem(name), topic: patternProblem(topic) ?? unable };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (problems.name || problems.topic || problem) return;
    create.start(
      {
        ack: auto ? "auto" : "explicit",
        name,
        order: strict ? "strict" : "publish",
        start: start as Start,
        topic,
      },
      () => {
        onClose();
        void navigate({ params: { name }, to: "/subscriptions/$name" });
      },
    );
  };
  const exists = create.error !== null && asApiError(create.error).code === "subscription_exists";
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <Field
        autoComplete="off"
        label="Name"
        onChange={(event) => {
          setName(event.target.value);
          create.reset();
        }}
        problem={exists ? asApiError(create.error).message : tried ? problems.name : null}
        spellCheck={false}
        value={name}
      />
      <Field
        autoComplete="off"
        hint="A topic, which is created if need be, or a pattern: orders.*"
        label="Topics"
        onChange={(event) => setTopic(event.target.value)}
        problem={tried ? problems.topic : null}
        spellCheck={false}
        value={topic}
      />
      <StartFields
        kind={kind}
        onChange={(next, text) => {
          setKind(next);
          setTyped(text);
        }}
        problem={problem}
        typed={typed}
      />
      <Choice
        checked={strict}
        label="Strict order: the next message waits until the one before is settled"
        onChange={setStrict}
      />
      <Choice
        checked={auto}
        label="Settled when it is written, without an ack"
        onChange={setAuto}
      />
      <Outcome
        act={create}
        isSaid={exists}
        may="The subscription may have been created"
        not="The subscription was not created"
      />
      <div className="flex justify-end gap-2">
        <Leave onClick={onClose}>Cancel</Leave>
        <Button look="primary" type="submit">
          {create.isPending ? "Creating…" : "Create subscription"}
        </Button>
      </div>
    </ActForm>
  );
}

interface ChoiceProps {
  readonly checked: boolean;
  readonly label: string;
  readonly onChange: (checked: boolean) => void;
}

function Choice({ checked, label, onChange }: ChoiceProps) {
  return (
    <label className="flex min-h-7 items-center gap-2">
      <input
        checked={checked}
        className="size-4"
        onChange={(event) => onChange(event.target.checked)}
        type="checkbox"
      />
      {label}
    </label>
  );
}
