import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { TenantAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Another, IS_OTHER } from "@/components/Another";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { counted } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { Overtaken } from "@/components/Overtaken";
import { Failure, Loading } from "@/components/states";
import { exactly } from "@/components/times";
import { isTyped } from "@/components/typed";
import { useEdits } from "@/components/useEdits";
import { Bars } from "@/features/tenants/Bars";
import { LimitFields } from "@/features/tenants/LimitFields";
import {
  fieldsOf,
  limitsChange,
  limitTexts,
  overtakenLimits,
  reasonAgainstDeleting,
} from "@/features/tenants/model";
import { tenantQuery, useChangeTenant, useDeleteTenant } from "@/services/tenants";

interface TenantDetailProps {
  readonly name: string;
  readonly onClose: () => void;
}

type Step = "delete" | "limits" | "look";

/** For operators: one tenant, and what can be done with it. */
export function TenantDetail({ name, onClose }: TenantDetailProps) {
  const tenant = useQuery(tenantQuery(name));
  const [step, setStep] = useState<Step>("look");
  const look = () => setStep("look");
  const { data, error } = tenant;
  return (
    <Modal onClose={step === "look" ? onClose : look} open title={`Tenant ${name}`}>
      {tenant.isPending && <Loading rows={3} what="the tenant" />}
      {error && !data && (
        <Failure error={error} onRetry={tenant.refetch} what="The tenant is not shown" />
      )}
      {data && step === "look" && <Look onClose={onClose} onStep={setStep} tenant={data} />}
      {data && step === "limits" && <ChangeLimits onDone={look} tenant={data} />}
      {data && step === "delete" && <Delete onBack={look} onDone={onClose} tenant={data} />}
    </Modal>
  );
}

interface LookProps {
  readonly onClose: () => void;
  readonly onStep: (step: Step) => void;
  readonly tenant: TenantAnswer;
}

function Look({ onClose, onStep, tenant }: LookProps) {
  const rates = limitTexts(tenant.limits).filter((text) => / \/ s$|^Bytes/.test(text));
  const missing = tenant.usage.unanswered_count;
  return (
    <div className="space-y-4">
      <p className="text-dim">
        Created {exactly(tenant.created_at)}. {counted(tenant.usage.keys, "key")}
        {rates.length > 0 && `; ${rates.join("; ")}`}.
      </p>
      <Bars tenant={tenant} />
      {missing > 0 && (
        <p className="text-warn">
          Not answered by {counted(missing, "node")}, whose connections and retries are missing.
        </p>
      )}
      <div className="flex flex-wrap items-center justify-between gap-2 border-line border-t pt-4">
        <Link
          className="text-accent underline underline-offset-2"
          onClick={onClose}
          search={{ range: "15m", tenant: tenant.name }}
          to="/"
        >
          Look at it as its operator
        </Link>
        <div className="flex flex-wrap gap-2">
          <Button onClick={() => onStep("limits")}>Change limits…</Button>
          <Button
            look="danger"
            onClick={() => onStep("delete")}
            told="before"
            unable={reasonAgainstDeleting(tenant)}
          >
            Delete…
          </Button>
        </div>
      </div>
    </div>
  );
}

interface StepProps {
  readonly onDone: () => void;
  readonly tenant: TenantAnswer;
}

function ChangeLimits({ onDone, tenant }: StepProps) {
  const there = fieldsOf(tenant.limits);
  const { change: type, overtaken, shown } = useEdits(there);
  const [opened] = useState(tenant);
  const change = useChangeTenant(opened);
  const isOther = tenant.created_at !== opened.created_at;
  const limits = limitsChange(shown, tenant.limits);
  const total = limits === null ? 0 : Object.keys(limits).length;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (limits && total > 0) change.start(limits, onDone);
  };
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <p className="text-dim">
        They count at once. What there is already of more than a limit stays; nothing is added.
      </p>
      <LimitFields fields={shown} onChange={type} />
      <Overtaken fields={overtakenLimits(overtaken, there)} />
      {isOther && <Another what="tenant" />}
      <Outcome
        act={change}
        may="The limits may have been changed"
        not="The limits were not changed"
      />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onDone}>Back</Leave>
        <Button
          look="primary"
          told="before"
          type="submit"
          unable={isOther ? IS_OTHER : total > 0 ? null : "Nothing is changed yet"}
        >
          {change.isPending ? "Saving…" : total > 1 ? `Change ${total} limits` : "Change the limit"}
        </Button>
      </div>
    </ActForm>
  );
}

function Delete({ onBack, onDone, tenant }: StepProps & { readonly onBack: () => void }) {
  const [typed, setTyped] = useState("");
  const [opened] = useState(tenant);
  const remove = useDeleteTenant(opened);
  const isOther = tenant.created_at !== opened.created_at;
  const { dead_letters, keys } = tenant.usage;
  const isSame = isTyped(typed, tenant.name);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const said = () => `Tenant “${tenant.name}” was deleted, ${counted(keys, "key")}`;
    if (isSame) remove.start(undefined, onDone, said);
  };
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <ul className="list-disc space-y-1 pl-5">
        <li>
          Its {counted(keys, "key")} and {counted(dead_letters, "dead letter")} are gone; nothing
          brings them back.
        </li>
        <li>Its WebSockets are closed, here at once and elsewhere within two seconds.</li>
        <li>If another tenant gets its name later, that one has nothing of it.</li>
      </ul>
      <Field
        autoComplete="off"
        label={`Type ${tenant.name} to delete it`}
        onChange={(event) => setTyped(event.target.value)}
        spellCheck={false}
        value={typed}
      />
      {isOther && <Another what="tenant" />}
      <Outcome
        act={remove}
        may="The tenant may have been deleted"
        not="The tenant was not deleted"
      />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onBack}>Keep it</Leave>
        <Button
          look="danger"
          told="before"
          type="submit"
          unable={isOther ? IS_OTHER : isSame ? null : "Type the name of the tenant first"}
        >
          {remove.isPending ? "Deleting…" : `Delete tenant and ${counted(keys, "key")}`}
        </Button>
      </div>
    </ActForm>
  );
}
