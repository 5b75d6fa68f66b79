import { useQuery } from "@tanstack/react-query";
import type { FormEvent } from "react";
import type { KeyAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Choice } from "@/components/Choice";
import { Field } from "@/components/Field";
import { foreign } from "@/components/foreign";
import { Leave, Outcome } from "@/components/Outcome";
import { Overtaken } from "@/components/Overtaken";
import { exactly } from "@/components/times";
import { useEdits } from "@/components/useEdits";
import { KEY_LIMITS, keyChange, keyFieldsOf, keyProblems } from "@/features/apiKeys/editing";
import { ENDS, NAME_MAX_CHARS } from "@/features/apiKeys/model";
import { ScopeFields } from "@/features/apiKeys/ScopeFields";
import { isOwnKey } from "@/features/signin/model";
import { LimitFields } from "@/features/tenants/LimitFields";
import { overtakenLimits } from "@/features/tenants/model";
import { serverNow } from "@/live/serverClock";
import { useChangeKey } from "@/services/apiKeys";
import { whoamiQuery } from "@/services/server";

interface EditKeyProps {
  readonly keyAnswer: KeyAnswer;
  readonly onDone: () => void;
}

/** Name, rights, end and limits; its secret and its id stay. */
export function EditKey({ keyAnswer, onDone }: EditKeyProps) {
  const { limits: bounds, ...there } = keyFieldsOf(keyAnswer);
  const own = useEdits(there);
  const limits = useEdits(bounds);
  const fields = { ...own.shown, limits: limits.shown };
  const { data: who } = useQuery(whoamiQuery());
  const change = useChangeKey(keyAnswer.id);
  const problems = keyProblems(fields, keyAnswer);
  const body = keyChange(fields, keyAnswer, serverNow());
  const unable = reasonAgainst(Object.values(problems), body);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (unable === null) change.start(body, onDone);
  };
  const { choices } = fields;
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <p className="text-dim">
        Connections that use it have what it gives then within two seconds.
        {isOwnKey(who, keyAnswer.id) && " You are signed in with it: what you take away is gone."}
      </p>
      <Field
        autoComplete="off"
        label="Name"
        maxLength={NAME_MAX_CHARS}
        onChange={(event) => own.change({ ...own.shown, name: event.target.value })}
        problem={problems.name}
        value={fields.name}
      />
      {choices ? (
        <ScopeFields
          choices={choices}
          onChange={(next) => own.change({ ...own.shown, choices: next })}
          problem={problems.scopes}
          who={who}
        />
      ) : (
        <p className="text-dim">
          It has one right twice, for different things. Such rights stay as they are here;{" "}
          <code>conduit key change</code> changes them.
        </p>
      )}
      <Choice
        label="It ends"
        onChange={({ target }) => {
          const chosen = target.selectedIndex - 1;
          own.change({ ...own.shown, end: chosen < 0 ? null : chosen });
        }}
        value={String(fields.end)}
      >
        <option value="null">
          as now: {keyAnswer.expires_at ? exactly(keyAnswer.expires_at) : "when it is revoked"}
        </option>
        {ENDS.map(({ label }, index) => (
          <option key={label} value={String(index)}>
            {label}
          </option>
        ))}
      </Choice>
      <LimitFields fields={fields.limits} onChange={limits.change} only={KEY_LIMITS} />
      <Overtaken
        fields={[
          ...own.overtaken.map((each) =>
            each === "name" ? `Name, now ${foreign(there.name)}` : "Rights",
          ),
          ...overtakenLimits(limits.overtaken, bounds),
        ]}
      />
      <Outcome act={change} may="The key may have been changed" not="The key was not changed" />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onDone}>Back</Leave>
        <Button look="primary" told="before" type="submit" unable={unable}>
          {change.isPending ? "Saving…" : `Save key ${foreign(keyAnswer.name)}`}
        </Button>
      </div>
    </ActForm>
  );
}

function reasonAgainst(problems: readonly (string | null)[], body: object): string | null {
  if (problems.some((each) => each !== null)) return "Mend what is typed first";
  return Object.keys(body).length === 0 ? "Nothing is changed yet" : null;
}
