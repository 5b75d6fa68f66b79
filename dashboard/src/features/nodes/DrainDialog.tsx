import type { NodeAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { counted } from "@/components/format";
import { Modal } from "@/components/Modal";
import { Failure } from "@/components/states";
import { useDrain } from "@/services/nodes";

interface DrainDialogProps {
  readonly node: NodeAnswer;
  readonly onClose: () => void;
}

/** Says what draining a node, or having it serve again, does; then how far it is. */
export function DrainDialog({ node, onClose }: DrainDialogProps) {
  // What it is for does not change while it is open, whatever the node does.
  const drain = useDrain(node.id);
  const isDraining = drain.variables ?? node.state !== "draining";
  const title = isDraining ? `Drain ${node.id}?` : `Have ${node.id} serve again?`;
  return (
    <Modal onClose={onClose} open title={title}>
      <div className="space-y-4">
        {!drain.data && (isDraining ? <Leaving node={node} /> : <Returning />)}
        {drain.data && (
          <p aria-live="polite">
            {drain.data.id} is {drain.data.state}: {drain.data.phase.replace("_", " ")}.{" "}
            {counted(drain.data.owned_subscriptions, "subscription")} there, and{" "}
            {counted(drain.data.connections, "open connection")}.
            {drain.data.problem && ` ${drain.data.problem}.`}
          </p>
        )}
        {drain.error && <Failure error={drain.error} what="It was not done" />}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={onClose}>{drain.data ? "Close" : "Cancel"}</Button>
          {!drain.data && (
            <Button
              look={isDraining ? "danger" : "primary"}
              onClick={() => !drain.isPending && drain.mutate(isDraining)}
            >
              {label(node, isDraining, drain.isPending)}
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
}

function label(node: NodeAnswer, isDraining: boolean, isPending: boolean): string {
  if (!isDraining) return isPending ? "Returning…" : `Undrain ${node.id}`;
  const amount =
    node.connections === null ? "" : ` and move ${counted(node.connections, "connection")}`;
  return isPending ? "Draining…" : `Drain ${node.id}${amount}`;
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
        Then its connections{node.connections === null ? "" : ` (${node.connections})`} are told to
        come back, at another node.
      </li>
      <li>It stays so until it is undone here, or the process ends. It is in the audit log.</li>
      {node.is_this && (
        <li>
          It answers this page, and goes on doing so, unless what is between them chooses another
          node.
        </li>
      )}
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
