import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { SubscriptionAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { Facts } from "@/components/Facts";
import { count, counted } from "@/components/format";
import { Failure, Loading } from "@/components/states";
import { Table } from "@/components/Table";
import { Time } from "@/components/Time";
import { subscriptionRouteQuery } from "@/services/nodes";
import { useReasonAgainstNodes, whoamiQuery } from "@/services/server";
import { subscriptionTopicsQuery } from "@/services/subscriptions";

/** How far it is, and in which topics. */
export function Summary({ subscription }: { readonly subscription: SubscriptionAnswer }) {
  return (
    <div className="grid items-start gap-4 xl:grid-cols-2">
      <Facts rows={[...facts(subscription), ...useOwner(subscription.name)]} />
      {subscription.more_topics ? (
        <ManyTopics name={subscription.name} />
      ) : (
        <Places places={subscription.topics} />
      )}
    </div>
  );
}

/** Where it runs, for who may know nodes. */
function useOwner(name: string): [string, React.ReactNode][] {
  const who = useQuery(whoamiQuery());
  const reason = useReasonAgainstNodes();
  const mayKnow = who.isSuccess && reason === null;
  const route = useQuery({ ...subscriptionRouteQuery(name), enabled: mayKnow });
  const at = route.data?.subscription;
  return at ? [["Runs at", at.node ?? at.reason]] : [];
}

function facts(subscription: SubscriptionAnswer): [string, React.ReactNode][] {
  const { dead_count, full, in_flight_count, lag, name, redriven_count } = subscription;
  const retries = `${count(subscription.pending_retry_count)}${full ? ": as many as may, so nothing new comes" : ""}`;
  return [
    ["Topics", <code key="topics">{subscription.topic}</code>],
    ["Lag", `${counted(lag, "message is", "messages are")} not settled`],
    ["In flight", count(in_flight_count)],
    ["Waiting for a retry", retries],
    [
      "Dead letters",
      <Link
        className="text-accent underline"
        key="dead"
        search={{ show: "open", subscription: name }}
        to="/dead-letters"
      >
        {count(dead_count)}
      </Link>,
    ],
    ["Redriven ones", count(redriven_count)],
    ["Attached", count(subscription.subscribers)],
    ["Acks", subscription.ack],
    ["Order", subscription.order],
    ["Created", <Time at={subscription.created_at} key="created" />],
  ];
}

interface PlacesProps {
  readonly places: SubscriptionAnswer["topics"];
}

function Places({ places }: PlacesProps) {
  if (places.length === 0) return <p className="text-dim">No topic matches it yet.</p>;
  return (
    <Table
      caption="Up to the floor all is settled; the lag is how many messages are not, those that come again too"
      columns={["Topic", "Floor", "Last message", "Lag"]}
      numbers={["Floor", "Last message", "Lag"]}
      rows={places.map(({ floor, lag, last_seq, topic }) => [
        topic,
        <Link
          className="text-accent underline"
          key="topic"
          params={{ name: topic }}
          to="/topics/$name"
        >
          {topic}
        </Link>,
        `#${count(floor)}`,
        `#${count(last_seq)}`,
        count(lag),
      ])}
    />
  );
}

function ManyTopics({ name }: { readonly name: string }) {
  const topics = useInfiniteQuery(subscriptionTopicsQuery(name));
  if (topics.isPending) return <Loading what="topics" />;
  if (!topics.data) {
    return <Failure error={topics.error} onRetry={topics.refetch} what="They cannot be listed" />;
  }
  return (
    <div className="space-y-2">
      <Places places={topics.data.pages.flatMap((page) => page.topics)} />
      {topics.hasNextPage && (
        <Button onClick={() => topics.fetchNextPage()}>
          {topics.isFetchingNextPage ? "Loading…" : "Show more topics"}
        </Button>
      )}
    </div>
  );
}
