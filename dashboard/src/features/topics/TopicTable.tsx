import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import type { TopicActivity, TopicAnswer } from "@/api/schema";
import { AsOf, type Dated } from "@/components/AsOf";
import { backlogText, MORE_BACKLOG } from "@/components/backlog";
import { bytes, count, counted, rate } from "@/components/format";
import { MoreSaid, type Pages, useMore } from "@/components/More";
import { Sparkline } from "@/components/Sparkline";
import { Time } from "@/components/Time";
import { kept, storedCount } from "@/features/topics/model";
import { useActivity } from "@/features/topics/useActivity";

interface TopicTableProps {
  readonly list: Pages & Dated;
  readonly topics: readonly TopicAnswer[];
}

const ROW_PX = 44;
// So many rows before the end the next page is asked for.
const AHEAD_COUNT = 80;
const GRID =
  "grid grid-cols-[minmax(0,1fr)_5.5rem] items-center gap-x-4 px-4 sm:grid-cols-[minmax(0,1fr)_5.5rem_5.5rem_5.5rem_5.5rem] xl:grid-cols-[minmax(0,1fr)_7rem_4rem_4rem_5.5rem_5.5rem_5.5rem_5.5rem] 2xl:grid-cols-[minmax(0,1fr)_8rem_4rem_4rem_5.5rem_5.5rem_5.5rem_5.5rem_12rem_6rem]";

/** Rows of which only those exist that are seen, so that ten thousand cost as much as thirty. */
export function TopicTable({ list, topics }: TopicTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: topics.length,
    estimateSize: () => ROW_PX,
    getScrollElement: () => scroller.current,
    overscan: 8,
  });
  const shown = rows.getVirtualItems();
  const activity = useActivity(shown.flatMap(({ index }) => topics[index]?.name ?? []));
  const last = shown.at(-1)?.index ?? 0;
  const more = useMore(list, last >= topics.length - AHEAD_COUNT);
  return (
    <div className="overflow-hidden rounded-lg border border-line bg-surface">
      <div
        aria-label="Topics"
        aria-rowcount={list.hasNextPage ? -1 : topics.length + 1}
        role="table"
      >
        <Head />
        <div
          className="max-h-[max(16rem,calc(100dvh-17rem))] sm:max-h-[max(16rem,calc(100dvh-17.5rem))] overflow-y-auto"
          ref={scroller}
          role="rowgroup"
          tabIndex={0}
        >
          <div className="relative" role="presentation" style={{ height: rows.getTotalSize() }}>
            {shown.map(({ index, start }) => {
              const topic = topics[index];
              if (!topic) return null;
              return (
                <Row
                  activity={activity.get(topic.name)}
                  index={index}
                  key={topic.name}
                  start={start}
                  topic={topic}
                />
              );
            })}
          </div>
        </div>
      </div>
      <p aria-live="polite" className="-mt-px border-line border-t px-4 py-2 text-dim text-xs">
        {counted(topics.length, "topic")}
        <MoreSaid list={list} more={more} /> <AsOf list={list} />
      </p>
    </div>
  );
}

const COLUMNS: readonly (readonly [label: string, className: string])[] = [
  ["Name", ""],
  ["Five minutes", "max-xl:hidden"],
  ["In / s", "text-right max-xl:hidden"],
  ["Out / s", "text-right max-xl:hidden"],
  ["Backlog", "text-right max-sm:hidden"],
  ["Stored", "text-right"],
  ["Size", "text-right max-sm:hidden"],
  ["Subscribers", "text-right max-sm:hidden"],
  ["Keeps at most", "max-2xl:hidden"],
  ["Created", "text-right max-2xl:hidden"],
];

function Head() {
  return (
    <div className="border-line border-b" role="rowgroup">
      <div className={`${GRID} h-9 font-medium text-dim text-xs`} role="row">
        {COLUMNS.map(([label, className]) => (
          <div className={className} key={label} role="columnheader">
            {label}
          </div>
        ))}
      </div>
    </div>
  );
}

interface RowProps {
  readonly activity: TopicActivity | undefined;
  readonly index: number;
  readonly start: number;
  readonly topic: TopicAnswer;
}

function Row({ activity, index, start, topic }: RowProps) {
  const cell = "truncate text-right tabular-nums";
  return (
    <div
      aria-rowindex={index + 2}
      className={`${GRID} absolute inset-x-0 top-0 h-11 border-line border-b hover:bg-raised`}
      role="row"
      style={{ transform: `translateY(${start}px)` }}
    >
      <div className="min-w-0 truncate" role="cell">
        <Link
          className="font-medium outline-offset-[-2px] after:absolute after:inset-0"
          data-row
          params={{ name: topic.name }}
          title={topic.name}
          to="/topics/$name"
        >
          {topic.name}
        </Link>
      </div>
      <Traffic activity={activity} />
      <div className={cell} role="cell">
        {count(storedCount(topic))}
      </div>
      <div className={`${cell} max-sm:hidden`} role="cell">
        {bytes(topic.stored_bytes)}
      </div>
      <div className={`${cell} max-sm:hidden`} role="cell">
        {count(topic.subscriber_count)}
      </div>
      <div className="truncate max-2xl:hidden" role="cell">
        {kept(topic.retention)}
      </div>
      <div className={`${cell} max-2xl:hidden`} role="cell">
        <Time at={topic.created_at} inRow />
      </div>
    </div>
  );
}

const NO_ROOM = "Something goes through so many topics that there is no room for this one's rates";

/** Three cells and a fourth: what goes through it; empty until that is known. */
function Traffic({ activity }: { readonly activity: TopicActivity | undefined }) {
  const cell = "truncate text-right tabular-nums";
  const why = activity?.is_known === false ? NO_ROOM : undefined;
  return (
    <>
      <div className="max-xl:hidden" role="cell">
        {activity?.is_known && <Sparkline values={activity.published_counts} />}
      </div>
      <div className={`${cell} max-xl:hidden`} role="cell" title={why}>
        {activity && (activity.is_known ? rate(activity.messages_per_sec) : "?")}
      </div>
      <div className={`${cell} max-xl:hidden`} role="cell" title={why}>
        {activity && (activity.is_known ? rate(activity.deliveries_per_sec) : "?")}
      </div>
      <div
        className={`${cell} max-sm:hidden`}
        role="cell"
        title={activity?.more_backlog ? MORE_BACKLOG : undefined}
      >
        {activity && backlogText(activity)}
      </div>
    </>
  );
}
