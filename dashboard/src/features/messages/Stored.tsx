import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { RefreshCw } from "lucide-react";
import { useMemo } from "react";
import { asApiError } from "@/api/errors";
import type { TopicAnswer } from "@/api/schema";
import { Button } from "@/components/Button";
import { count } from "@/components/format";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { absence, type Filter, isSearch, wanted } from "@/features/messages/filter";
import type { Look } from "@/features/messages/look";
import { MessageRows, type Row } from "@/features/messages/MessageRows";
import { type MessagePage, messagesQuery } from "@/services/messages";
import { polledSlowly } from "@/services/polled";
import { topicQuery } from "@/services/topics";

interface StoredProps {
  readonly filter: Filter;
  readonly look: Look;
  readonly onLook: (change: Partial<Look>) => void;
}

// Who has scrolled further looks for something that a filter finds.
const ROWS_MAX_COUNT = 10_000;
// Between looks whether it is still the same topic.
const TOPIC_MS = 5_000;

/** What is stored of a topic. Of one that was deleted and made anew it is another list. */
export function Stored(props: StoredProps) {
  const { data, error, isPending, refetch } = useQuery({
    ...topicQuery(props.look.topic),
    ...polledSlowly(TOPIC_MS),
  });
  if (isPending) return <Loading rows={8} what="messages" />;
  if (!data || isNoTopic(error)) return <NotListed error={error} onRetry={refetch} />;
  return <List {...props} topic={data} />;
}

function List({ filter, look, onLook, topic }: StoredProps & { readonly topic: TopicAnswer }) {
  const order = look.read === "oldest" ? "asc" : "desc";
  const list = useInfiniteQuery(messagesQuery(look.topic, topic.epoch, wanted(filter, order)));
  const rows = useMemo(() => rowsOf(list.data?.pages ?? []), [list.data]);
  const searches = isSearch(filter);
  if (list.isPending) return <Loading rows={8} what="messages" />;
  if (list.isError && !list.data) return <NotListed error={list.error} onRetry={list.refetch} />;
  if (rows.length === 0 && !list.hasNextPage) {
    return <Nothing filter={filter} onLook={onLook} onRefresh={list.refetch} topic={topic} />;
  }
  const absent = absence(
    filter,
    topic,
    rows.map(({ seq }) => seq),
  );
  const isFull = rows.length >= ROWS_MAX_COUNT;
  const goesOn = list.hasNextPage && !isFull;
  return (
    <div className="space-y-2">
      {absent && (
        <p className="text-warn" role="status">
          {absent}
        </p>
      )}
      <MessageRows
        footer={
          <>
            <span aria-live="polite">{said(list.data?.pages ?? [], rows, list)}</span>
            {searches && goesOn && !list.isFetching && (
              <Button onClick={() => list.fetchNextPage()}>Keep scanning</Button>
            )}
            {isFull && <span>The rest is not loaded: narrow it with a filter.</span>}
            {list.isError && <Stale error={list.error} />}
            <Button className="ml-auto" look="quiet" onClick={() => list.refetch()}>
              <RefreshCw
                aria-hidden
                className={`size-4 ${list.isFetching ? "animate-spin" : ""}`}
              />
              Refresh
            </Button>
          </>
        }
        label="Messages"
        // A search is a cost that a person decides on.
        list={goesOn && !searches ? list : undefined}
        openId={look.msg}
        rows={rows}
      />
    </div>
  );
}

function rowsOf(pages: readonly MessagePage[]): Row[] {
  return pages.flatMap((page) =>
    page.messages.map(({ key, message_id, payload, published_at, seq }) => ({
      id: message_id,
      key,
      payload,
      publishedAt: published_at,
      rowKey: message_id,
      seq,
    })),
  );
}

interface Fetching {
  readonly hasNextPage: boolean;
  readonly isFetching: boolean;
}

function said(pages: readonly MessagePage[], rows: readonly Row[], fetching: Fetching): string {
  const found = `${count(rows.length)} ${rows.length === 1 ? "message" : "messages"}`;
  const scanned = pages.at(-1)?.scanned_to;
  if (fetching.isFetching) return `${found}, looking for more…`;
  if (!fetching.hasNextPage) return `${found}, that is all`;
  return scanned === undefined ? `${found}, and more` : `${found}; scanned up to ${scanned}`;
}

function isNoTopic(error: unknown): boolean {
  return error !== null && asApiError(error).code === "topic_not_found";
}

function NotListed({ error, onRetry }: { readonly error: unknown; readonly onRetry: () => void }) {
  if (isNoTopic(error)) {
    return <Empty title="There is no such topic">{asApiError(error).message}</Empty>;
  }
  return <Failure error={error} onRetry={onRetry} what="Messages cannot be listed" />;
}

interface NothingProps {
  readonly filter: Filter;
  readonly onLook: (change: Partial<Look>) => void;
  readonly onRefresh: () => void;
  readonly topic: TopicAnswer;
}

function Nothing({ filter, onLook, onRefresh, topic }: NothingProps) {
  const again = <Button onClick={onRefresh}>Look again</Button>;
  if (filter.tokens.length === 0) {
    return (
      <Empty action={again} title="Nothing is stored in this topic">
        {topic.last_seq === 0
          ? "Nothing was published to it yet."
          : `What was published, up to number ${topic.last_seq}, was removed: by a purge, or because it was over the bounds of what the topic keeps.`}
      </Empty>
    );
  }
  const clear = <Button onClick={() => onLook({ f: "" })}>Clear the filter</Button>;
  return (
    <Empty
      action={
        <>
          {clear}
          {again}
        </>
      }
      title="No message matches"
    >
      {absence(filter, topic, []) ?? "All stored messages that it could be were looked at."}
    </Empty>
  );
}
