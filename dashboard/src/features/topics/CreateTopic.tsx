import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { asApiError } from "@/api/errors";
import type { Retention } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { kept, nameProblem, textsOf } from "@/features/topics/model";
import { changedBounds, RetentionFields, type Texts } from "@/features/topics/RetentionFields";
import { useReasonAgainst } from "@/services/server";
import { retentionDefaultsQuery, useCreateTopic } from "@/services/topics";

interface CreateTopicProps {
  readonly onClose: () => void;
  readonly open: boolean;
}

const NONE = { max_age_s: "", max_bytes: "", max_messages: "" };

export function CreateTopic({ onClose, open }: CreateTopicProps) {
  return (
    <Modal
      about="Subscribers and publishers name it. What it keeps can be changed later."
      onClose={onClose}
      open={open}
      title="Create a topic"
    >
      <Form onDone={onClose} />
    </Modal>
  );
}

function Form({ onDone }: { readonly onDone: () => void }) {
  const [name, setName] = useState("");
  const [own, setOwn] = useState(false);
  const [typedTexts, setTexts] = useState<Texts | null>(null);
  const { data: defaults } = useQuery(retentionDefaultsQuery());
  const before = defaults ? textsOf(defaults) : NONE;
  const texts = typedTexts ?? before;
  const [tried, setTried] = useState(false);
  const navigate = useNavigate();
  const create = useCreateTopic();
  const unable = useReasonAgainst("manage", name);
  const problem = nameProblem(name) ?? unable;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    const retention = own ? changedBounds(texts, before) : {};
    if (problem || !retention) return;
    create.start({ name, retention }, () => {
      onDone();
      void navigate({ params: { name }, to: "/topics/$name" });
    });
  };
  const refused = create.error ? asApiError(create.error) : null;
  const ofName = refused?.code === "topic_exists" || refused?.code === "invalid_topic";
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <Field
        autoComplete="off"
        hint="Parts joined by dots, such as orders.created: patterns like orders.* then find it."
        label="Name"
        onChange={(event) => {
          setName(event.target.value);
          create.reset();
        }}
        problem={ofName ? refused.message : tried || name !== "" ? problem : null}
        spellCheck={false}
        value={name}
      />
      <label className="flex min-h-8 items-center gap-2">
        <input
          checked={own}
          className="size-4"
          onChange={(event) => setOwn(event.target.checked)}
          type="checkbox"
        />
        Set what it keeps, instead of the server's defaults
      </label>
      {own ? (
        <RetentionFields
          empty={defaults ? "no bound" : "the server's default"}
          onChange={setTexts}
          texts={texts}
        />
      ) : (
        defaults && <p className="pl-6 text-dim">{keptByDefault(defaults)}</p>
      )}
      <Outcome
        act={create}
        isSaid={ofName}
        may="The topic may have been created"
        not="The topic was not created"
      />
      <div className="flex justify-end gap-2">
        <Leave onClick={onDone}>Cancel</Leave>
        <Button look="primary" type="submit">
          {create.isPending ? "Creating…" : "Create topic"}
        </Button>
      </div>
    </ActForm>
  );
}

function keptByDefault(defaults: Retention): string {
  const bounds = kept(defaults);
  return `The defaults: ${defaults.max_age_s || defaults.max_messages || defaults.max_bytes ? `at most ${bounds}` : bounds}.`;
}
