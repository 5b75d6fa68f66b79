import { useQuery } from "@tanstack/react-query";
import type { NodeAnswer, RingAnswer } from "@/api/schema";
import { count } from "@/components/format";
import { Failure, Loading } from "@/components/states";
import { Table } from "@/components/Table";
import { numbers } from "@/features/nodes/model";
import { RingFigure, Swatch } from "@/features/nodes/RingFigure";
import { ringQuery } from "@/services/nodes";

/** Which node has how much of the durable subscriptions: drawn, and as a table. */
export function Ring({ nodes }: { readonly nodes: readonly NodeAnswer[] }) {
  const ring = useQuery(ringQuery());
  return (
    <section
      aria-labelledby="ring"
      className="space-y-3 rounded-lg border border-line bg-surface p-4"
    >
      <h2 className="font-medium" id="ring">
        Who has which subscriptions
      </h2>
      {ring.isPending && <Loading rows={4} what="the ring" />}
      {ring.isError && !ring.data && (
        <Failure error={ring.error} onRetry={ring.refetch} what="The ring cannot be shown" />
      )}
      {ring.data?.reason && <p className="text-dim">Not by the ring: {ring.data.reason}.</p>}
      {ring.data && ring.data.nodes.length > 0 && <Shown nodes={nodes} ring={ring.data} />}
    </section>
  );
}

interface ShownProps {
  readonly nodes: readonly NodeAnswer[];
  readonly ring: RingAnswer;
}

function Shown({ nodes, ring }: ShownProps) {
  const numbered = numbers(ring, nodes);
  const amounts = new Map<number, number>();
  for (const [, node = 0] of ring.places) amounts.set(node, (amounts.get(node) ?? 0) + 1);
  return (
    <>
      <p className="text-dim">
        Each durable subscription is at a place of the ring, by its name, and runs at the node that
        has this place. A node that comes or goes moves only its own part.
      </p>
      <div className="grid items-center gap-4 md:grid-cols-[20rem_minmax(0,1fr)]">
        <RingFigure numbers={numbered} ring={ring} />
        <Table
          caption="As one of the nodes has it"
          columns={["Number", "Node", "Share", "Places"]}
          numbers={["Share", "Places"]}
          rows={ring.nodes.map(({ id, share }, at) => [
            id,
            <span className="inline-flex items-center gap-2 font-semibold" key="number">
              <Swatch node={numbered[at] ?? at} />
              {(numbered[at] ?? at) + 1}
            </span>,
            id,
            `${(share * 100).toFixed(1)} %`,
            count(amounts.get(at) ?? 0),
          ])}
        />
      </div>
    </>
  );
}
