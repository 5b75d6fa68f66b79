import type { Health } from "@/api/schema";
import { Facts } from "@/components/Facts";
import { storeFacts } from "@/features/nodes/storeFacts";

/** What a node runs on, which said it itself: its store, and how it is among others. It need not be the one that
 * said what else is on the page: a load balancer may choose another one for each request. */
export function Store({ health }: { readonly health: Health }) {
  const store = health.store as Readonly<Record<string, unknown>> | undefined;
  if (!store) return null;
  return (
    <section aria-labelledby="store" className="max-w-3xl space-y-3">
      <h2 className="font-medium" id="store">
        What {health.node_id ?? "a node"} runs on
      </h2>
      {health.not_ready && (
        <p className="text-bad" role="alert">
          Not ready: {health.not_ready.detail}
        </p>
      )}
      {health.cluster && <p className="break-words text-dim">{health.cluster.detail}</p>}
      <Facts rows={storeFacts(store)} />
    </section>
  );
}
