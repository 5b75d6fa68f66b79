import { useQuery } from "@tanstack/react-query";
import { Page } from "@/components/Page";
import { Failure, Loading, Stale } from "@/components/states";
import { counted } from "@/features/nodes/model";
import { NodeCard } from "@/features/nodes/NodeCard";
import { Ring } from "@/features/nodes/Ring";
import { Store } from "@/features/nodes/Store";
import { Allowed } from "@/features/signin/Allowed";
import { nodesQuery } from "@/services/nodes";
import { healthQuery, useReasonAgainstNodes } from "@/services/server";

export function NodesPage() {
  const unable = useReasonAgainstNodes();
  return (
    <Page title="Nodes">
      <Allowed reason={unable}>
        <Nodes unable={unable} />
      </Allowed>
    </Page>
  );
}

function Nodes({ unable }: { readonly unable: string | null }) {
  const found = useQuery(nodesQuery());
  const health = useQuery(healthQuery());
  if (found.isPending) return <Loading rows={6} what="nodes" />;
  if (!found.data) {
    return <Failure error={found.error} onRetry={found.refetch} what="Nodes cannot be listed" />;
  }
  const { nodes } = found.data;
  // Of this answer: behind a load balancer the next one may be of another node.
  const teller = nodes.find((node) => node.is_this)?.id ?? "one of them";
  return (
    <>
      <p className="flex flex-wrap items-center gap-3 text-dim">
        {nodes.length === 1
          ? "One node has everything. A second one on the same PostgreSQL would share the work."
          : `${counted(nodes)}, as ${teller} knows them.`}
        {found.isError && <Stale error={found.error} />}
      </p>
      <p className="text-dim text-xs">
        The subscriptions that a node runs now are those with somebody attached, or with something
        to store: all the others need no node until then.
      </p>
      <div className="grid gap-4 md:grid-cols-2 xl:grid-cols-3">
        {nodes.map((node) => (
          <NodeCard key={node.id} node={node} nodes={nodes} unable={unable} />
        ))}
      </div>
      <div className="grid items-start gap-4 2xl:grid-cols-2">
        <Ring nodes={nodes} />
        {health.data && <Store health={health.data} />}
      </div>
    </>
  );
}
