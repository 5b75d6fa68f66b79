import { useEffect } from "react";
import { foreign } from "@/components/foreign";
import { Modal } from "@/components/Modal";
import { Secret } from "@/features/apiKeys/Secret";
import { forgetSecrets, putSecretAway, useSecret } from "@/services/secrets";
import { onSignedOut } from "@/services/signing";

/** The secret of a key that was made or rotated, over whatever page there is by then, and until it is put away or
 * who has asked for it has gone. */
export function KeptSecret() {
  const made = useSecret();
  useEffect(() => onSignedOut(forgetSecrets), []);
  return (
    <Modal
      about={made && `Of tenant ${made.tenant}, with the id ${made.id}.`}
      // What is not saved yet is closed by its button alone.
      onClose={() => {}}
      open={made !== undefined}
      title={`The key ${foreign(made?.name ?? "")}`}
    >
      {made && <Secret key={made.key} onDone={putSecretAway} text={made.key} />}
    </Modal>
  );
}
