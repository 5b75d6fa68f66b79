import { type FormEvent, useState } from "react";
import { asApiError } from "@/api/errors";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { LimitFields } from "@/features/tenants/LimitFields";
import { fieldsOf, limitsChange, tenantNameProblem } from "@/features/tenants/model";
import { useCreateTenant } from "@/services/tenants";

interface CreateTenantProps {
  readonly onClose: () => void;
  readonly open: boolean;
}

export function CreateTenant({ onClose, open }: CreateTenantProps) {
  return (
    <Modal
      about="It has topics, subscriptions and keys of its own, and sees nobody else's. Choose it above, and create its first key on the page of API keys."
      onClose={onClose}
      open={open}
      title="Create a tenant"
    >
      <Form onDone={onClose} />
    </Modal>
  );
}

function Form({ onDone }: { readonly onDone: () => void }) {
  const [name, setName] = useState("");
  const [fields, setFields] = useState(() => fieldsOf({}));
  const [tried, setTried] = useState(false);
  const create = useCreateTenant();
  const problem = tenantNameProblem(name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    const limits = limitsChange(fields, {});
    if (problem || !limits) return;
    create.start({ limits, name }, onDone);
  };
  const refused = create.error ? asApiError(create.error) : null;
  const isTaken = refused?.code === "tenant_exists";
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <Field
        autoComplete="off"
        label="Name"
        onChange={(event) => {
          setName(event.target.value);
          create.reset();
        }}
        problem={isTaken ? refused.message : tried || name !== "" ? problem : null}
        spellCheck={false}
        value={name}
      />
      <LimitFields fields={fields} onChange={setFields} />
      <Outcome
        act={create}
        isSaid={isTaken}
        may="The tenant may have been created"
        not="The tenant was not created"
      />
      <div className="flex justify-end gap-2">
        <Leave onClick={onDone}>Cancel</Leave>
        <Button look="primary" type="submit">
          {create.isPending ? "Creating…" : "Create tenant"}
        </Button>
      </div>
    </ActForm>
  );
}
