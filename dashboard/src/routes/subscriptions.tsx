import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Plus, RefreshCw } from "lucide-react";
import { useCallback, useState } from "react";
import { useCaller } from "@/api/caller";
import { Button } from "@/components/Button";
import { foreign } from "@/components/foreign";
import { useSearched } from "@/components/lists";
import { Page } from "@/components/Page";
import { SearchBox } from "@/components/SearchBox";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Allowed } from "@/features/signin/Allowed";
import { OnlyManaged, useManaged } from "@/features/signin/Managed";
import { CreateSubscription } from "@/features/subscriptions/CreateSubscription";
import { SubscriptionTable } from "@/features/subscriptions/SubscriptionTable";
import { useReasonAgainst } from "@/services/server";
import { subscriptionPagesQuery } from "@/services/subscriptions";

const route = getRouteApi("/subscriptions");

export function SubscriptionsPage() {
  const { q } = route.useSearch();
  useSearched("/subscriptions", q);
  const navigate = route.useNavigate();
  const unable = useReasonAgainst("manage");
  const found = useInfiniteQuery({ ...subscriptionPagesQuery(q), enabled: unable === null });
  const { tenant } = useCaller();
  // Another search is another list, whose rows have not stood still before.
  const list = JSON.stringify([tenant, q]);
  const [creating, setCreating] = useState(false);
  const search = useCallback(
    (typed: string) =>
      void navigate({ replace: true, search: (before) => ({ ...before, q: typed }) }),
    [navigate],
  );
  const subscriptions = found.data?.pages.flatMap((page) => page.subscriptions) ?? [];
  const create = (
    <Button look="primary" onClick={() => setCreating(true)} unable={unable}>
      <Plus aria-hidden className="size-4" /> Create subscription
    </Button>
  );
  return (
    <Page actions={create} title="Subscriptions">
      <Allowed reason={unable}>
        <OnlyManaged what="subscriptions" />
        <div className="flex items-center gap-2">
          <SearchBox
            isMain
            label="Search subscriptions by name"
            onSearch={search}
            placeholder="Search by name ( / )"
            text={q}
          />
          <Button aria-label="Refresh" onClick={() => found.refetch()}>
            <RefreshCw aria-hidden className={`size-4 ${found.isFetching ? "animate-spin" : ""}`} />
          </Button>
          {found.isError && found.data && <Stale error={found.error} />}
        </div>
        {found.isPending && <Loading rows={8} what="subscriptions" />}
        {found.isError && !found.data && (
          <Failure error={found.error} onRetry={found.refetch} what="They cannot be listed" />
        )}
        {found.data && subscriptions.length === 0 && (
          <Nothing create={create} onClear={() => search("")} q={q} />
        )}
        {subscriptions.length > 0 && (
          <SubscriptionTable key={list} list={found} subscriptions={subscriptions} />
        )}
      </Allowed>
      {creating && <CreateSubscription onClose={() => setCreating(false)} />}
    </Page>
  );
}

interface NothingProps {
  readonly create: React.ReactNode;
  readonly onClear: () => void;
  readonly q: string;
}

function Nothing({ create, onClear, q }: NothingProps) {
  const managed = useManaged();
  if (q === "") {
    const some = managed === null ? "" : " that your key may manage";
    return (
      <Empty action={create} title={`There are no durable subscriptions${some}`}>
        One is made by the first subscriber that names it, or here. It keeps its place when nobody
        is attached.
      </Empty>
    );
  }
  const clear = <Button onClick={onClear}>Clear the search</Button>;
  return <Empty action={clear} title={`No subscription has “${foreign(q)}” in its name`} />;
}
