import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { DeadLetterGroup } from "@/api/schema";
import { Button } from "@/components/Button";
import { count } from "@/components/format";
import { Time } from "@/components/Time";

interface GroupsProps {
  readonly groups: readonly DeadLetterGroup[];
  readonly isCounting: boolean;
  /** Counts those that died before; null: all are counted. */
  readonly onMore: (() => void) | null;
  readonly since: string | null;
}

const COLUMNS = [
  ["Count", "text-right"],
  ["Reason", ""],
  ["Topic", "max-sm:hidden"],
  ["Redriven", "text-right max-sm:hidden"],
  ["Last died", "max-sm:hidden"],
] as const;
// So many are shown before somebody asks for all.
const FIRST_COUNT = 6;

/** Dead letters by topic and reason; each leads to its own. */
export function Groups({ groups, isCounting, onMore, since }: GroupsProps) {
  const [all, setAll] = useState(false);
  const shown = all ? groups : groups.slice(0, FIRST_COUNT);
  const hidden = groups.length - shown.length;
  return (
    <section aria-labelledby="groups" className="rounded-lg border border-line bg-surface">
      <h2 className="px-4 pt-3 font-medium" id="groups">
        By topic and reason
      </h2>
      <div className="overflow-x-auto">
        <table className="w-full text-left">
          <thead>
            <tr className="border-line border-b text-dim text-xs">
              {COLUMNS.map(([column, look]) => (
                <th
                  className={`whitespace-nowrap px-4 py-2 font-medium ${look}`}
                  key={column}
                  scope="col"
                >
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((group) => (
              <Row group={group} key={`${group.topic} ${group.reason}`} />
            ))}
          </tbody>
        </table>
      </div>
      {(hidden > 0 || onMore) && (
        <div className="flex flex-wrap items-center gap-3 px-4 py-2 text-dim text-xs">
          {hidden > 0 && <Button onClick={() => setAll(true)}>Show {count(hidden)} more</Button>}
          {onMore && since && (
            <>
              <span>
                Counted are those that died since <Time at={since} />.
              </span>
              <Button onClick={onMore} unable={isCounting ? "It is counting" : null}>
                {isCounting ? "Counting…" : "Keep counting"}
              </Button>
            </>
          )}
        </div>
      )}
    </section>
  );
}

function Row({ group }: { readonly group: DeadLetterGroup }) {
  return (
    <tr className="relative border-line border-b last:border-0 hover:bg-raised">
      <td className="px-4 py-2 text-right tabular-nums">{count(group.count)}</td>
      <td className="w-full max-w-0 px-4 py-2" title={group.reason}>
        <Link
          className="block truncate font-medium outline-offset-[-2px] after:absolute after:inset-0"
          search={(before) => ({
            ...before,
            letter: undefined,
            reason: group.reason,
            topic: group.topic,
          })}
          to="/dead-letters"
        >
          {group.reason || "no reason"}
        </Link>
        <p className="truncate text-dim text-xs sm:hidden">{group.topic}</p>
      </td>
      <td className="max-w-72 truncate px-4 py-2 max-sm:hidden" title={group.topic}>
        {group.topic}
      </td>
      <td className="px-4 py-2 text-right tabular-nums max-sm:hidden">
        {count(group.redriven_count)}
      </td>
      <td className="px-4 py-2 max-sm:hidden">
        <Time at={group.last_died_at} inRow />
      </td>
    </tr>
  );
}
