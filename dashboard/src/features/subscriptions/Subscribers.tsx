import { useQuery } from "@tanstack/react-query";
import { Badge } from "@/components/Badge";
import { count } from "@/components/format";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Table } from "@/components/Table";
import { subscribersQuery } from "@/services/subscriptions";

/** Who is attached, and to which node each is connected. */
export function Subscribers({ name }: { readonly name: string }) {
  const found = useQuery(subscribersQuery(name));
  if (found.isPending) return <Loading rows={3} what="subscribers" />;
  if (!found.data) {
    return <Failure error={found.error} onRetry={found.refetch} what="They cannot be listed" />;
  }
  const { by_node, count: amount, subscribers } = found.data;
  if (amount === 0) {
    return (
      <Empty title="Nobody is attached">
        What is published is kept for it, and comes when somebody subscribes with its name.
      </Empty>
    );
  }
  const nodes = Object.entries(by_node ?? {}).map(([node, at]) => `${count(at)} at ${node}`);
  return (
    <div className="space-y-3">
      <p>
        {count(amount)} attached{nodes.length > 0 && `: ${nodes.join(", ")}`}.
        {by_node === null && " Where they are is told to operators."}
        {found.isError && <Stale error={found.error} />}
      </p>
      <Table
        caption={amount > subscribers.length ? `The first ${subscribers.length}` : "All of them"}
        columns={["Node", "In flight", "At most", "Socket"]}
        numbers={["In flight", "At most"]}
        rows={subscribers.map((each, at) => [
          String(at),
          each.node ?? "–",
          count(each.in_flight_count),
          each.max_in_flight === null
            ? "no bound: settled when written"
            : count(each.max_in_flight),
          <Badge key="socket" tone={each.is_reading ? "ok" : "warn"}>
            {each.is_reading ? "reads" : "does not drain"}
          </Badge>,
        ])}
      />
    </div>
  );
}
