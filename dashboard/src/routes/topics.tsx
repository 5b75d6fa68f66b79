import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Plus, RefreshCw } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "@/components/Button";
import { inputClass } from "@/components/Field";
import { foreign } from "@/components/foreign";
import { useSearched } from "@/components/lists";
import { Page } from "@/components/Page";
import { Reason } from "@/components/Reason";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { Allowed } from "@/features/signin/Allowed";
import { CreateTopic } from "@/features/topics/CreateTopic";
import { TopicTable } from "@/features/topics/TopicTable";
import { useReasonAgainst, useReasonAgainstReading } from "@/services/server";
import { topicsQuery } from "@/services/topics";

const route = getRouteApi("/topics");
// Between what is typed and what is asked for.
const TYPING_MS = 200;

export function TopicsPage() {
  const { create: asked, q } = route.useSearch();
  const navigate = route.useNavigate();
  useSearched("/topics", q);
  const unread = useReasonAgainstReading();
  const [creating, setCreating] = useState(false);
  // Out of the address at once: who signs in next here has not asked for it.
  useEffect(() => {
    if (!asked) return;
    setCreating(true);
    void navigate({ replace: true, search: (before) => ({ ...before, create: undefined }) });
  }, [asked, navigate]);
  const topics = useInfiniteQuery({ ...topicsQuery(q), enabled: unread === null });
  const unable = useReasonAgainst("manage");
  const found = topics.data?.pages.flatMap((page) => page.topics) ?? [];
  const create = (
    <Button look="primary" onClick={() => setCreating(true)} unable={unable}>
      <Plus aria-hidden className="size-4" /> Create topic
    </Button>
  );
  return (
    <Page
      actions={
        <>
          <Reason text={unable} />
          {create}
        </>
      }
      title="Topics"
    >
      <Allowed reason={unread}>
        <div className="flex items-center gap-2">
          <SearchBox q={q} />
          <Button aria-label="Refresh" onClick={() => topics.refetch()}>
            <RefreshCw
              aria-hidden
              className={`size-4 ${topics.isFetching ? "animate-spin" : ""}`}
            />
          </Button>
          {topics.isError && topics.data && <Stale error={topics.error} />}
        </div>
        {topics.isPending && <Loading rows={8} what="topics" />}
        {topics.isError && !topics.data && (
          <Failure error={topics.error} onRetry={topics.refetch} what="Topics cannot be listed" />
        )}
        {topics.data && found.length === 0 && <NoTopics create={create} q={q} />}
        {found.length > 0 && <TopicTable list={topics} topics={found} />}
      </Allowed>
      <CreateTopic onClose={() => setCreating(false)} open={creating && unable === null} />
    </Page>
  );
}

function NoTopics({ create, q }: { readonly create: React.ReactNode; readonly q: string }) {
  const navigate = route.useNavigate();
  if (q === "") {
    return (
      <Empty action={create} title="There are no topics yet">
        A topic is made by whoever subscribes to it first, or here.
      </Empty>
    );
  }
  const clear = (
    <Button onClick={() => navigate({ search: (before) => ({ ...before, q: "" }) })}>
      Clear the search
    </Button>
  );
  return <Empty action={clear} title={`No topic has “${foreign(q)}” in its name`} />;
}

function SearchBox({ q }: { readonly q: string }) {
  const navigate = route.useNavigate();
  const [typed, setTyped] = useState(q);
  const [seen, setSeen] = useState(q);
  // On its way into the address: what is typed meanwhile is not to be lost when it has arrived.
  const [sent, setSent] = useState<string | null>(null);
  if (q !== seen) {
    // The address has changed by itself: back, a link, or what was typed a moment ago.
    setSeen(q);
    setSent(null);
    if (q !== sent) setTyped(q);
  }
  useEffect(() => {
    if (typed === q) return;
    const timer = setTimeout(() => {
      setSent(typed);
      void navigate({ replace: true, search: (before) => ({ ...before, q: typed }) });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, q, navigate]);
  return (
    <input
      aria-label="Search topics by name"
      className={`${inputClass} max-w-md`}
      data-search
      onChange={(event) => setTyped(event.target.value)}
      placeholder="Search by name ( / )"
      spellCheck={false}
      type="search"
      value={typed}
    />
  );
}
