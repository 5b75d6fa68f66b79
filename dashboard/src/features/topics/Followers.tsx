import { useInfiniteQuery } from "@tanstack/react-query";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Allowed } from "@/features/signin/Allowed";
import { OnlyManaged, useManaged } from "@/features/signin/Managed";
import { SubscriptionTable } from "@/features/subscriptions/SubscriptionTable";
import { useReasonAgainst } from "@/services/server";
import { followerPagesQuery } from "@/services/subscriptions";

/** The durable subscriptions that follow a topic, and the lag of each in it. */
export function Followers({ topic }: { readonly topic: string }) {
  return (
    <Allowed reason={useReasonAgainst("manage")}>
      <List topic={topic} />
    </Allowed>
  );
}

function List({ topic }: { readonly topic: string }) {
  const found = useInfiniteQuery(followerPagesQuery(topic));
  const managed = useManaged();
  if (found.isPending) return <Loading rows={8} what="subscriptions" />;
  if (found.isError && !found.data) {
    return (
      <Failure error={found.error} onRetry={found.refetch} what="Subscriptions cannot be listed" />
    );
  }
  const subscriptions = found.data.pages.flatMap((page) => page.subscriptions);
  return (
    <div className="space-y-2">
      {found.isError && <Stale error={found.error} />}
      <OnlyManaged what="subscriptions" />
      {subscriptions.length === 0 ? (
        <Empty
          title={
            managed === null
              ? "No durable subscription follows this topic"
              : "No durable subscription that your key may manage follows this topic"
          }
        >
          Subscribers without a name are counted in the summary. Only their dead letters are kept.
        </Empty>
      ) : (
        <>
          <p className="text-dim text-xs">
            The lag is how many messages of this topic each has not settled. All else is of all its
            topics.
          </p>
          <SubscriptionTable key={topic} list={found} subscriptions={subscriptions} topic={topic} />
        </>
      )}
    </div>
  );
}
