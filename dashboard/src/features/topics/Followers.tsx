import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { SubscriptionAnswer } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { count } from "@/components/format";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Table } from "@/components/Table";
import { Allowed } from "@/features/signin/Allowed";
import { stateOf } from "@/features/subscriptions/model";
import { covers } from "@/services/covers";
import { useReasonAgainst } from "@/services/server";
import { LOOKED_AT_COUNT, subscriptionsQuery } from "@/services/subscriptions";

/** The durable subscriptions that follow a topic, and the lag of each in it. */
export function Followers({ topic }: { readonly topic: string }) {
  return (
    <Allowed reason={useReasonAgainst("manage")}>
      <List topic={topic} />
    </Allowed>
  );
}

function List({ topic }: { readonly topic: string }) {
  const all = useQuery(subscriptionsQuery());
  if (all.isPending) return <Loading what="subscriptions" />;
  if (all.isError && !all.data) {
    return (
      <Failure error={all.error} onRetry={all.refetch} what="Subscriptions cannot be listed" />
    );
  }
  const found = all.data.subscriptions.filter((each) => covers(each.topic, topic));
  const unseen = all.data.next !== null && (
    <p className="text-dim text-xs">
      Only the first {count(LOOKED_AT_COUNT)} subscriptions by name were looked at.
    </p>
  );
  return (
    <div className="space-y-2">
      {all.isError && <Stale error={all.error} />}
      {found.length === 0 ? (
        <Empty title="No durable subscription follows this topic">
          Subscribers without a name are counted in the summary, and nothing is kept for them.
        </Empty>
      ) : (
        <Table
          caption="Those that follow it. The lag is how many messages of this topic each has not settled"
          columns={["Name", "State", "Lag", "In flight", "Retries", "Dead", "Attached"]}
          numbers={["Lag", "In flight", "Retries", "Dead", "Attached"]}
          rows={found.map((each) => [
            each.name,
            <div key="name">
              <Link
                className="font-medium hover:underline"
                data-row
                params={{ name: each.name }}
                to="/subscriptions/$name"
              >
                {each.name}
              </Link>
              <p className="text-dim text-xs">{each.topic}</p>
            </div>,
            <RunState key="state" subscription={each} />,
            lagIn(each, topic),
            count(each.in_flight_count),
            count(each.pending_retry_count),
            count(each.dead_count),
            count(each.subscribers),
          ])}
        />
      )}
      {unseen}
    </div>
  );
}

function lagIn({ lag, topics }: SubscriptionAnswer, topic: string): ReactNode {
  const own = topics.find((each) => each.topic === topic);
  return own ? count(own.lag) : <span title="In all its topics together">≤ {count(lag)}</span>;
}

function RunState({ subscription }: { readonly subscription: SubscriptionAnswer }) {
  const { tone, word } = stateOf(subscription);
  return <Badge tone={tone}>{word}</Badge>;
}
