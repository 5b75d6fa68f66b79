import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { KeyAnswer } from "@/api/schema";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Choice } from "@/components/Choice";
import { foreign } from "@/components/foreign";
import { Leave, Outcome } from "@/components/Outcome";
import { OVERLAPS } from "@/features/apiKeys/model";
import { isOwnKey } from "@/features/signin/model";
import { useRotateKey } from "@/services/apiKeys";
import { whoamiQuery } from "@/services/server";

interface RotateKeyProps {
  readonly keyAnswer: KeyAnswer;
  readonly onDone: () => void;
}

export function RotateKey({ keyAnswer, onDone }: RotateKeyProps) {
  const [overlap, setOverlap] = useState(0);
  const { data: who } = useQuery(whoamiQuery());
  const rotate = useRotateKey(keyAnswer.id);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    rotate.start(OVERLAPS[overlap]?.overlap_s ?? 0, onDone);
  };
  return (
    <ActForm className="space-y-4" onSubmit={submit}>
      <ul className="list-disc space-y-1 pl-5">
        <li>The key gets a new secret, which is shown once. Id, rights and end stay.</li>
        <li>
          Put the new one in place everywhere while the secret before is still good. One from before
          that is not good any more.
        </li>
        <li>
          Sessions of this dashboard that were begun with the secret before end at once
          {isOwnKey(who, keyAnswer.id) && "; this one goes on with the new one"}.
        </li>
      </ul>
      <Choice
        label="The secret before is good"
        onChange={({ target }) => setOverlap(target.selectedIndex)}
        value={String(overlap)}
      >
        {OVERLAPS.map(({ label }, index) => (
          <option key={label} value={String(index)}>
            {label}
          </option>
        ))}
      </Choice>
      <Outcome
        act={rotate}
        may="The key may have been rotated: rotate it again then, for nobody has the new secret"
        not="The key was not rotated"
      />
      <div className="flex flex-wrap justify-end gap-2">
        <Leave onClick={onDone}>Back</Leave>
        <Button look="primary" type="submit">
          {rotate.isPending ? "Rotating…" : `Rotate key ${foreign(keyAnswer.name)}`}
        </Button>
      </div>
    </ActForm>
  );
}
