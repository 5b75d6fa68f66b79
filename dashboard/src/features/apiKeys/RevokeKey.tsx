import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { KeyAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { foreign } from "@/components/foreign";
import { useOfTenant } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { exactly } from "@/components/times";
import { isTyped, toType } from "@/components/typed";
import { consequences } from "@/features/apiKeys/model";
import { isOwnKey } from "@/features/signin/model";
import { useRevokeKey } from "@/services/apiKeys";
import { whoamiQuery } from "@/services/server";

interface RevokeKeyProps {
  readonly keyAnswer: KeyAnswer;
  readonly onDone: () => void;
}

export function RevokeKey({ keyAnswer, onDone }: RevokeKeyProps) {
  const { id, last_used_at } = keyAnswer;
  const name = foreign(keyAnswer.name);
  const asked = toType(keyAnswer.name, id);
  const [typed, setTyped] = useState("");
  const { data: who } = useQuery(whoamiQuery());
  const revoke = useRevokeKey(id);
  const of = useOfTenant();
  const isSame = isTyped(typed, asked);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isSame) revoke.start(undefined, onDone, () => `Key “${name}”${of} was revoked`);
  };
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <p>
        Revoke the key <strong className="font-medium">{name}</strong> (
        <code className="font-mono">{id}</code>)
        {last_used_at && `, which was used last at ${exactly(last_used_at)}`}:
      </p>
      <ul className="list-disc space-y-1 pl-5">
        {consequences(keyAnswer, isOwnKey(who, id)).map((each) => (
          <li key={each}>{each}</li>
        ))}
      </ul>
      <Field
        autoComplete="off"
        label={`Type ${foreign(asked)} to revoke it`}
        onChange={(event) => setTyped(event.target.value)}
        spellCheck={false}
        value={typed}
      />
      <Outcome act={revoke} may="The key may have been revoked" not="The key was not revoked" />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onDone}>Keep it</Leave>
        <Button
          look="danger"
          type="submit"
          told="before"
          unable={
            isSame
              ? null
              : asked === id
                ? "Type the id of the key first"
                : "Type the name of the key first"
          }
        >
          {revoke.isPending ? "Revoking…" : `Revoke key ${name}`}
        </Button>
      </div>
    </ActForm>
  );
}
