import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { KeyAnswer } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Failure, Loading } from "@/components/states";
import { exactly } from "@/components/times";
import { useServerNow } from "@/components/useNow";
import { EditKey } from "@/features/apiKeys/EditKey";
import { endsOf, stateOf } from "@/features/apiKeys/model";
import { RevokeKey } from "@/features/apiKeys/RevokeKey";
import { RotateKey } from "@/features/apiKeys/RotateKey";
import { grantText, isOwnKey } from "@/features/signin/model";
import { limitTexts } from "@/features/tenants/model";
import { keyQuery } from "@/services/apiKeys";
import { useSecret } from "@/services/secrets";
import { useReasonAgainst, whoamiQuery } from "@/services/server";

interface KeyDetailProps {
  readonly id: string;
  readonly onClose: () => void;
}

type Step = "edit" | "look" | "revoke" | "rotate";

/** One key, and what can be done with it. What is open is in the address; a secret never is. */
export function KeyDetail({ id, onClose }: KeyDetailProps) {
  const key = useQuery(keyQuery(id));
  const [step, setStep] = useState<Step>("look");
  // What it was rotated to is shown over this.
  const secret = useSecret();
  const look = () => setStep("look");
  const close = () => {
    if (secret) return;
    if (step === "look") onClose();
    else look();
  };
  return (
    <Modal onClose={close} open title={key.data?.name ?? id}>
      {key.isPending && <Loading rows={3} what="the key" />}
      {key.error && !secret && (
        <Failure error={key.error} onRetry={key.refetch} what="The key is not shown" />
      )}
      {key.data && step === "look" && <Look keyAnswer={key.data} onStep={setStep} />}
      {key.data && step === "edit" && <EditKey keyAnswer={key.data} onDone={look} />}
      {key.data && step === "rotate" && <RotateKey keyAnswer={key.data} onDone={look} />}
      {key.data && step === "revoke" && <RevokeKey keyAnswer={key.data} onDone={look} />}
    </Modal>
  );
}

interface LookProps {
  readonly keyAnswer: KeyAnswer;
  readonly onStep: (step: Step) => void;
}

function Look({ keyAnswer, onStep }: LookProps) {
  const state = stateOf(keyAnswer, useServerNow());
  const { data: who } = useQuery(whoamiQuery());
  const unable = useReasonAgainst("manage") ?? (state.isGood ? null : state.about);
  return (
    <div className="space-y-4">
      <p className="flex flex-wrap items-center gap-2">
        <Badge tone={state.tone}>{state.label}</Badge>
        <span className="text-dim">{state.about}</span>
        {isOwnKey(who, keyAnswer.id) && <Badge tone="info">you are signed in with it</Badge>}
      </p>
      <Facts keyAnswer={keyAnswer} />
      <div className="flex flex-wrap items-center justify-between gap-2 border-line border-t pt-4">
        <Link
          className="text-accent underline underline-offset-2"
          search={{ action: "", actor: `key:${keyAnswer.id}`, past: "all" }}
          to="/audit"
        >
          What it has done
        </Link>
        <div className="flex flex-wrap gap-2">
          <Button onClick={() => onStep("edit")} unable={unable}>
            Change…
          </Button>
          <Button onClick={() => onStep("rotate")} unable={unable}>
            Rotate…
          </Button>
          <Button look="danger" onClick={() => onStep("revoke")} unable={unable}>
            Revoke…
          </Button>
        </div>
      </div>
    </div>
  );
}

function Facts({ keyAnswer }: { readonly keyAnswer: KeyAnswer }) {
  const { created_at, created_by, id, last_used_at } = keyAnswer;
  const now = useServerNow();
  const limits = limitTexts(keyAnswer.limits);
  const rows: readonly (readonly [string, string])[] = [
    ["Id", id],
    ["Tenant", keyAnswer.tenant],
    ["May", keyAnswer.scopes.map(grantText).join("; ")],
    ["Limits of its own", limits.join("; ") || "none"],
    ["Created", `${exactly(created_at)}, by ${created_by}`],
    ["Last used", last_used_at === null ? "never" : `${exactly(last_used_at)}, to the minute`],
    ...endsOf(keyAnswer, now),
  ];
  return (
    <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-2">
      {rows.map(([name, value]) => (
        <div className="contents" key={name}>
          <dt className="text-dim">{name}</dt>
          <dd className="whitespace-pre-line break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
