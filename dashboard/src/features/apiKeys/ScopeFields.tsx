import { useId } from "react";
import type { WhoAmI } from "@/api/schema";
import { Field } from "@/components/Field";
import {
  reasonAgainstGiving,
  SCOPES,
  type Scope,
  type ScopeChoice,
  type ScopeChoices,
} from "@/features/apiKeys/model";

interface ScopeFieldsProps {
  readonly choices: ScopeChoices;
  readonly onChange: (choices: ScopeChoices) => void;
  readonly problem: string | null;
  readonly who: WhoAmI | undefined;
}

export function ScopeFields({ choices, onChange, problem, who }: ScopeFieldsProps) {
  const id = useId();
  return (
    <fieldset aria-describedby={problem ? id : undefined} className="space-y-2">
      <legend className="font-medium">What it may do</legend>
      {SCOPES.map(({ about, scope }) => (
        <OneScope
          about={about}
          choice={choices[scope]}
          key={scope}
          onChange={(choice) => onChange({ ...choices, [scope]: choice })}
          scope={scope}
          unable={who ? reasonAgainstGiving(who, scope) : null}
        />
      ))}
      {problem && (
        <p className="text-bad" id={id}>
          {problem}
        </p>
      )}
    </fieldset>
  );
}

interface OneScopeProps {
  readonly about: string;
  readonly choice: ScopeChoice;
  readonly onChange: (choice: ScopeChoice) => void;
  readonly scope: Scope;
  readonly unable: string | null;
}

function OneScope({ about, choice, onChange, scope, unable }: OneScopeProps) {
  const { isChosen, subscriptions, topics } = choice;
  return (
    <div className="rounded-md border border-line p-2">
      <label className="flex min-h-6 items-start gap-2">
        <input
          checked={isChosen}
          className="mt-0.5 size-4 shrink-0"
          disabled={unable !== null}
          onChange={(event) => onChange({ ...choice, isChosen: event.target.checked })}
          type="checkbox"
        />
        <span>
          <span className="font-medium font-mono">{scope}</span>{" "}
          <span className="text-dim">{unable ?? about}</span>
        </span>
      </label>
      {isChosen && scope !== "admin" && (
        <div className="mt-2 space-y-2 pl-6">
          <Field
            autoComplete="off"
            hint="None: all topics of the tenant. With blanks between them."
            label={`Only these topics, or patterns (${scope})`}
            onChange={(event) => onChange({ ...choice, topics: event.target.value })}
            placeholder="orders.> sensors.*"
            spellCheck={false}
            value={topics}
          />
          {scope === "subscribe" && (
            <Field
              autoComplete="off"
              hint="None: all of them."
              label="Only these durable subscriptions, or patterns"
              onChange={(event) => onChange({ ...choice, subscriptions: event.target.value })}
              placeholder="billing web.*"
              spellCheck={false}
              value={subscriptions}
            />
          )}
        </div>
      )}
    </div>
  );
}
