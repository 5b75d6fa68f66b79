import { Modal } from "@/components/Modal";
import { Secret } from "@/features/apiKeys/Secret";
import { putSecretAway, useSecret } from "@/services/secrets";

/** The secret of a key that was made or rotated, over whatever page there is by then, and until it is put away. */
export function KeptSecret() {
  const made = useSecret();
  return (
    <Modal
      about={made && `Of tenant ${made.tenant}, with the id ${made.id}.`}
      // What is not saved yet is closed by its button alone.
      onClose={() => {}}
      open={made !== undefined}
      title={`The key ${made?.name}`}
    >
      {made && <Secret key={made.key} onDone={putSecretAway} text={made.key} />}
    </Modal>
  );
}
