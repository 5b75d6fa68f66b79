import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { NodeAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { foreign } from "@/components/foreign";
import { counted } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Leave, Outcome } from "@/components/Outcome";
import { isThere, progressText } from "@/features/nodes/draining";
import { followedNodeQuery, useDrain } from "@/services/nodes";

interface DrainDialogProps {
  readonly node: NodeAnswer;
  readonly onClose: () => void;
}

/** Says what draining a node, or having it serve again, does; then how far it is, until it is there. */
export function DrainDialog({ node, onClose }: DrainDialogProps) {
  // What it is for does not change while it is open, whatever the node does.
  const [isDraining] = useState(node.state !== "draining");
  const drain = useDrain(node.id);
  const isElsewhere = !drain.isPending && !drain.data && isDraining === (node.state === "draining");
  const title = isDraining ? `Drain ${node.id}?` : `Have ${node.id} serve again?`;
  return (
    <Modal onClose={onClose} open title={title}>
      <div className="space-y-4">
        {!drain.data && (isDraining ? <Leaving node={node} /> : <Returning />)}
        {drain.data && <Progress first={drain.data} id={node.id} isDraining={isDraining} />}
        {isElsewhere && (
          <p className="text-warn" role="status">
            {isDraining ? "It has begun to drain" : "It serves again"} since this was opened:
            somebody else has seen to it.
          </p>
        )}
        <Outcome act={drain} may="It may have been done" not="It was not done" />
        <div className="flex flex-wrap justify-end gap-2">
          <Leave onClick={onClose}>{drain.data ? "Close" : "Cancel"}</Leave>
          {!drain.data && (
            <Button
              look={isDraining ? "danger" : "primary"}
              onClick={() => drain.start(isDraining)}
            >
              {label(node, isDraining, drain.isPending)}
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}

interface ProgressProps {
  /** What it answered when it was told. */
  readonly first: Parameters<typeof isThere>[0] & { readonly problem: string | null };
  readonly id: string;
  readonly isDraining: boolean;
}

function Progress({ first, id, isDraining }: ProgressProps) {
  const followed = useQuery(followedNodeQuery(id, (node) => isThere(node, isDraining)));
  const now = followed.data ?? first;
  return (
    <>
      <p aria-live="polite">{progressText(id, now, isDraining)}</p>
      {!isThere(now, isDraining) && (
        <p className="text-dim text-xs">
          It goes on if this is closed. {first.problem && `${foreign(first.problem)}.`}
        </p>
      )}
    </>
  );
}

function label(node: NodeAnswer, isDraining: boolean, isPending: boolean): string {
  if (!isDraining) return isPending ? "Returning…" : `Undrain ${node.id}`;
  return isPending ? "Draining…" : `Drain ${node.id}`;
}

function Leaving({ node }: { readonly node: NodeAnswer }) {
  const owned = node.owned_subscriptions;
  return (
    <ul className="list-disc space-y-1 pl-5">
      <li>It is not ready any more: load balancers send nothing new there.</li>
      <li>
        Its durable subscriptions go to the other nodes{owned === null ? "" : ` (${owned})`}, so
        nothing is lost, and what was in flight may come twice.
      </li>
      <li>
        Then its WebSockets are told to come back, at another node.
        {node.connections !== null &&
          ` It has ${counted(node.connections, "open connection")}, those of HTTP too.`}
      </li>
      <li>It stays so until it is undone here, or the process ends. It is in the audit log.</li>
      <li>
        Pages like this one that it serves it goes on serving, unless what is in between chooses
        another node.
      </li>
    </ul>
  );
}

function Returning() {
  return (
    <ul className="list-disc space-y-1 pl-5">
      <li>It is ready again, and its part of the durable subscriptions comes back to it.</li>
      <li>Connections that were sent away are not called back: new ones come as they are made.</li>
    </ul>
  );
}
