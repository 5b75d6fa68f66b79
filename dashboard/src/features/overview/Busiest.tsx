import { Link } from "@tanstack/react-router";
import type { TopicActivities } from "@/api/schema";
import { backlogText, MORE_BACKLOG } from "@/components/backlog";
import { rate } from "@/components/format";
import { Sparkline } from "@/components/Sparkline";

interface BusiestProps {
  /** Of which topics alone they are told; null: of all. */
  readonly of: string | null;
  /** The tenant that pages show if they are not told another one; null: all. */
  readonly shown: string | null;
  readonly topics: TopicActivities["topics"];
}

const CELL = "whitespace-nowrap px-2 py-1.5 text-right tabular-nums";

/** The topics through which most went in the last minute. */
export function Busiest({ of, shown, topics }: BusiestProps) {
  return (
    <section
      aria-labelledby="busiest"
      className="min-w-0 rounded-lg border border-line bg-surface p-4"
    >
      <h2 className="font-medium" id="busiest">
        Busiest topics
      </h2>
      <p className="text-dim text-xs">Rates are means of the last minute.</p>
      {of && <p className="break-words text-dim text-xs">Of those that your key may read: {of}.</p>}
      {topics.length === 0 ? (
        <p className="mt-1 text-dim">
          Nothing went through any {of ? "of them" : "topic"} in the last minute.
        </p>
      ) : (
        <table className="mt-2 w-full table-fixed text-left">
          <thead>
            <tr className="text-dim text-xs">
              <th className="py-1 font-medium" scope="col">
                Topic
              </th>
              <th className={`${CELL} w-16 font-medium`} scope="col">
                In / s
              </th>
              <th className={`${CELL} w-16 font-medium`} scope="col">
                Out / s
              </th>
              <th className={`${CELL} w-20 font-medium max-sm:hidden`} scope="col">
                Backlog
              </th>
              <th className={`${CELL} w-24 font-medium max-sm:hidden`} scope="col">
                Five minutes
              </th>
            </tr>
          </thead>
          <tbody>
            {topics.map((topic) => (
              <Row key={`${topic.tenant}/${topic.name}`} shown={shown} topic={topic} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

interface RowProps {
  readonly shown: string | null;
  readonly topic: BusiestProps["topics"][number];
}

function Row({ shown, topic }: RowProps) {
  const isShown = topic.tenant === shown;
  return (
    <tr className="border-line border-t">
      <td className="truncate py-1.5" title={topic.name}>
        <Link
          className="underline-offset-2 hover:underline"
          params={{ name: topic.name }}
          search={isShown ? {} : { tenant: topic.tenant }}
          to="/topics/$name"
        >
          {topic.name}
        </Link>
        {!isShown && <span className="text-dim"> of {topic.tenant}</span>}
      </td>
      <td className={CELL}>{rate(topic.messages_per_sec)}</td>
      <td className={CELL}>{rate(topic.deliveries_per_sec)}</td>
      <td className={`${CELL} max-sm:hidden`} title={topic.more_backlog ? MORE_BACKLOG : undefined}>
        {backlogText(topic)}
      </td>
      <td className="px-2 max-sm:hidden">
        <Sparkline values={topic.published_counts} />
      </td>
    </tr>
  );
}
