// Dead letters, subscriptions and nodes as the API lists them, to look at.

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { SubscriptionAnswer } from "@/api/schema";
import { Badge } from "@/components/Badge";
import { count, rate } from "@/components/format";
import { Page } from "@/components/Page";
import { toneOf } from "@/components/stateColours";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Table } from "@/components/Table";
import { Time } from "@/components/Time";
import { newestLettersQuery } from "@/services/deadLetters";
import { nodesQuery } from "@/services/nodes";
import { LOOKED_AT_COUNT, subscriptionsQuery } from "@/services/subscriptions";

interface ListProps<Data> {
  readonly children: (data: Data) => ReactNode;
  readonly query: UseQueryResult<Data>;
  readonly title: string;
}

function List<Data>({ children, query, title }: ListProps<Data>) {
  return (
    <Page title={title}>
      {query.isPending && <Loading what={title.toLowerCase()} />}
      {query.isError && !query.data && (
        <Failure error={query.error} onRetry={query.refetch} what={`${title} cannot be listed`} />
      )}
      {query.isError && query.data && <Stale error={query.error} />}
      {query.data && children(query.data)}
    </Page>
  );
}

export function DeadLettersPage() {
  return (
    <List query={useQuery(newestLettersQuery())} title="Dead letters">
      {({ dead_letters, next }) =>
        dead_letters.length === 0 ? (
          <Empty title="Nothing is dead. Good.">
            A message comes here when its subscribers have failed on it as often as they may.
          </Empty>
        ) : (
          <Table
            caption={`The newest${next ? ` ${dead_letters.length}; there are more` : ""}`}
            columns={["Topic", "Subscription", "Reason", "Attempts", "Died"]}
            rows={dead_letters.map((letter) => [
              letter.id,
              letter.topic,
              letter.subscription ?? "not durable",
              letter.reason,
              count(letter.attempts),
              <Time at={letter.died_at} key="died" />,
            ])}
          />
        )
      }
    </List>
  );
}

export function SubscriptionsPage() {
  return (
    <List query={useQuery(subscriptionsQuery())} title="Subscriptions">
      {({ next, subscriptions }) =>
        subscriptions.length === 0 ? (
          <Empty title="There are no durable subscriptions">
            One is made by the first subscriber that names it, and keeps its place when nobody is
            attached.
          </Empty>
        ) : (
          <Table
            caption={`By name${next ? `: the first ${LOOKED_AT_COUNT}` : ""}`}
            columns={[
              "Name",
              "Topics",
              "State",
              "Behind",
              "In flight",
              "Retries",
              "Dead",
              "Attached",
            ]}
            rows={subscriptions.map((each) => [
              each.name,
              each.name,
              each.topic,
              <RunState key="state" subscription={each} />,
              count(each.lag),
              count(each.in_flight_count),
              count(each.pending_retry_count),
              count(each.dead_count),
              count(each.subscribers),
            ])}
          />
        )
      }
    </List>
  );
}

function RunState({ subscription }: { readonly subscription: SubscriptionAnswer }) {
  if (subscription.paused) return <Badge tone="paused">paused</Badge>;
  return subscription.full ? <Badge tone="bad">full</Badge> : <Badge tone="ok">running</Badge>;
}

/** What only a node itself knows is not known of one that has not answered. */
function known(value: number | null | undefined, shown: (value: number) => string): string {
  return value === null || value === undefined ? "–" : shown(value);
}

export function NodesPage() {
  return (
    <List query={useQuery(nodesQuery())} title="Nodes">
      {({ nodes }) => (
        <Table
          caption="As the node knows them that has answered"
          columns={[
            "Name",
            "State",
            "Version",
            "Published / s",
            "Delivered / s",
            "Connections",
            "Subscriptions",
            "Started",
          ]}
          rows={nodes.map((node) => [
            node.id,
            `${node.id}${node.is_this ? " (this one)" : ""}`,
            <Badge key="state" title={node.unanswered ?? undefined} tone={toneOf(node.state)}>
              {node.state}
            </Badge>,
            node.version,
            known(node.rates?.messages_per_sec, rate),
            known(node.rates?.deliveries_per_sec, rate),
            known(node.connections, count),
            known(node.owned_subscriptions, count),
            <Time at={node.started_at} key="started" />,
          ])}
        />
      )}
    </List>
  );
}
