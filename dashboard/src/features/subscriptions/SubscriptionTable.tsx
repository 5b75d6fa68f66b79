import { Link } from "@tanstack/react-router";
import type { SubscriptionAnswer } from "@/api/schema";
import type { Dated } from "@/components/AsOf";
import { Badge } from "@/components/Badge";
import { count, counted } from "@/components/format";
import type { Pages } from "@/components/More";
import { VirtualRows } from "@/components/VirtualRows";
import { stateOf } from "@/features/subscriptions/model";

interface SubscriptionTableProps {
  readonly list: Pages & Dated;
  readonly subscriptions: readonly SubscriptionAnswer[];
  /** The one that all of them follow: their lag is told in it. */
  readonly topic?: string;
}

const GRID =
  "grid h-full grid-cols-[minmax(0,1fr)_5.5rem] items-center gap-x-4 px-4 sm:grid-cols-[minmax(0,1fr)_9.5rem_5rem_4rem] xl:grid-cols-[minmax(0,2fr)_minmax(0,1fr)_9.5rem_6rem_6rem_6rem_6rem_6rem]";
const COLUMNS: readonly (readonly [label: string, look: string])[] = [
  ["Name", ""],
  ["Topics", "max-xl:hidden"],
  ["State", "max-sm:hidden"],
  ["Lag", "text-right"],
  ["In flight", "text-right max-xl:hidden"],
  ["Retries", "text-right max-xl:hidden"],
  ["Dead", "text-right max-sm:hidden"],
  ["Attached", "text-right max-xl:hidden"],
];

export function SubscriptionTable({ list, subscriptions, topic }: SubscriptionTableProps) {
  const where = topic === undefined ? "" : " of this topic";
  const head = () => (
    <div className={`${GRID} !h-9 font-medium text-dim text-xs`} role="row">
      {COLUMNS.map(([label, look]) => (
        <div
          className={look}
          key={label}
          role="columnheader"
          title={label === "Lag" ? `Messages${where} that it has not settled` : undefined}
        >
          {label}
        </div>
      ))}
    </div>
  );
  return (
    <VirtualRows
      head={head}
      items={subscriptions}
      keyOf={({ name }) => name}
      label={topic === undefined ? "Subscriptions" : "Subscriptions that follow this topic"}
      list={list}
      row={(subscription, index) => (
        <Row
          index={index}
          lag={topic === undefined ? subscription.lag : (subscription.topics[0]?.lag ?? 0)}
          subscription={subscription}
        />
      )}
    >
      {(there) => counted(there.length, "subscription")}
    </VirtualRows>
  );
}

interface RowProps {
  readonly index: number;
  readonly lag: number;
  readonly subscription: SubscriptionAnswer;
}

function Row({ index, lag, subscription }: RowProps) {
  const { dead_count, in_flight_count, name, pending_retry_count, subscribers, topic } =
    subscription;
  const { tone, word } = stateOf(subscription);
  const figures: readonly (readonly [value: number, look: string])[] = [
    [lag, ""],
    [in_flight_count, "max-xl:hidden"],
    [pending_retry_count, "max-xl:hidden"],
    [dead_count, `max-sm:hidden ${dead_count > 0 ? "font-medium text-bad" : ""}`],
    [subscribers, "max-xl:hidden"],
  ];
  return (
    <div
      aria-rowindex={index + 2}
      className={`${GRID} relative border-line border-b hover:bg-raised`}
      role="row"
    >
      <div className="min-w-0 truncate" role="cell">
        <Link
          className="font-medium outline-offset-[-2px] after:absolute after:inset-0"
          data-row
          params={{ name }}
          title={name}
          to="/subscriptions/$name"
        >
          {name}
        </Link>
        <p className="truncate text-dim text-xs sm:hidden">
          {word}
          {dead_count > 0 && `, ${count(dead_count)} dead`}
        </p>
      </div>
      <div className="truncate max-xl:hidden" role="cell" title={topic}>
        {topic}
      </div>
      <div className="max-sm:hidden" role="cell">
        <Badge tone={tone}>{word}</Badge>
      </div>
      {figures.map(([value, look], at) => (
        <div
          className={`truncate text-right tabular-nums ${look}`}
          key={COLUMNS[at + 3]?.[0]}
          role="cell"
        >
          {count(value)}
        </div>
      ))}
    </div>
  );
}
