import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Choice } from "@/components/Choice";
import { Field } from "@/components/Field";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { KEY_LIMITS, newKeyOf } from "@/features/apiKeys/editing";
import { ENDS, NAME_MAX_CHARS, NOTHING_CHOSEN, scopesProblem } from "@/features/apiKeys/model";
import { ScopeFields } from "@/features/apiKeys/ScopeFields";
import { LimitFields } from "@/features/tenants/LimitFields";
import { type LimitFields as Fields, fieldsOf } from "@/features/tenants/model";
import { useCreateKey } from "@/services/apiKeys";
import { whoamiQuery } from "@/services/server";

interface CreateKeyProps {
  readonly onClose: () => void;
  readonly open: boolean;
}

export function CreateKey({ onClose, open }: CreateKeyProps) {
  return (
    <Modal onClose={onClose} open={open} title="Create an API key">
      <Form onClose={onClose} />
    </Modal>
  );
}

function Form({ onClose }: Omit<CreateKeyProps, "open">) {
  const [name, setName] = useState("");
  const [choices, setChoices] = useState(NOTHING_CHOSEN);
  const [end, setEnd] = useState(0);
  const [limits, setLimits] = useState(() => fieldsOf({}));
  const [tried, setTried] = useState(false);
  const { data: who } = useQuery(whoamiQuery());
  const create = useCreateKey();
  const nameProblem = name.trim() === "" ? "Say what or whom it is for." : null;
  const problem = scopesProblem(choices);
  const body = newKeyOf({ choices, end, limits, name });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (nameProblem || problem || body === null) return;
    create.start(body, onClose);
  };
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <Field
        autoComplete="off"
        hint="The audit log says what the key did, with this name beside its id."
        label="Name"
        maxLength={NAME_MAX_CHARS}
        onChange={(event) => setName(event.target.value)}
        problem={tried ? nameProblem : null}
        value={name}
      />
      <ScopeFields
        choices={choices}
        onChange={setChoices}
        problem={tried ? problem : null}
        who={who}
      />
      <Choice
        label="It ends"
        onChange={({ target }) => setEnd(target.selectedIndex)}
        value={String(end)}
      >
        {ENDS.map(({ label }, index) => (
          <option key={label} value={String(index)}>
            {label}
          </option>
        ))}
      </Choice>
      <OwnLimits fields={limits} isWrong={body === null} onChange={setLimits} />
      <Outcome
        act={create}
        may="The key may have been created: revoke it then, for nobody has it"
        not="The key was not created"
      />
      <div className="flex justify-end gap-2">
        <Leave onClick={onClose}>Cancel</Leave>
        <Button look="primary" type="submit">
          {create.isPending ? "Creating…" : "Create key"}
        </Button>
      </div>
    </ActForm>
  );
}

interface OwnLimitsProps {
  readonly fields: Fields;
  /** What is wrong is not folded away. */
  readonly isWrong: boolean;
  readonly onChange: (fields: Fields) => void;
}

/** Few keys have any, so they are folded. */
function OwnLimits({ fields, isWrong, onChange }: OwnLimitsProps) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details
      onToggle={({ currentTarget }) => setIsOpen(currentTarget.open)}
      open={isOpen || isWrong}
    >
      <summary className="w-fit cursor-pointer py-1">Limits of its own: connections, rates</summary>
      <LimitFields fields={fields} onChange={onChange} only={KEY_LIMITS} />
    </details>
  );
}
