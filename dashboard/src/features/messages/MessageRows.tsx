import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef } from "react";
import type { Exact } from "@/api/exact";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { bytes } from "@/components/format";
import { type Pages, useMore } from "@/components/More";
import { Clock } from "@/components/Time";

export interface Row {
  /** Null: nothing can be opened, as of a message that retention has removed. */
  readonly id: string | null;
  readonly key: string | undefined;
  readonly payload: Exact | null;
  /** What was done with it since. */
  readonly mark?: string | undefined;
  readonly publishedAt: string | null;
  readonly rowKey: string | number;
  readonly seq: number | null;
  /** In place of the payload: a gap, a note. */
  readonly text?: string;
  readonly topic?: string | undefined;
}

interface MessageRowsProps {
  readonly footer: ReactNode;
  /** Whether the rows stand still, as somebody reads them. */
  readonly isHeld?: boolean;
  readonly label: string;
  /** Of which the next page comes when the end is near. */
  readonly list?: Pages | undefined;
  readonly onHold?: ((hold: boolean) => void) | undefined;
  readonly openId: string;
  readonly rows: readonly Row[];
}

const ROW_PX = 36;
// So many rows before the end more is asked for.
const AHEAD_COUNT = 30;
// Of a preview, in characters: no line is longer on any screen.
const LINE_CHARS = 400;
const GRID =
  "grid grid-cols-[4rem_minmax(0,1fr)_4.5rem] items-center gap-x-3 px-3 @lg:grid-cols-[5.5rem_9.5rem_minmax(0,1fr)_5rem] @4xl:grid-cols-[5.5rem_9.5rem_10rem_minmax(0,1fr)_5rem]";

/** Rows of which only those exist that are seen; the newest a thousand times a second cost what thirty do. */
export function MessageRows({
  footer,
  isHeld,
  label,
  list,
  onHold,
  openId,
  rows,
}: MessageRowsProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_PX,
    getScrollElement: () => scroller.current,
    overscan: 8,
  });
  const shown = virtual.getVirtualItems();
  const more = useMore(list, (shown.at(-1)?.index ?? 0) >= rows.length - AHEAD_COUNT);
  useEffect(() => {
    if (isHeld === false) scroller.current?.scrollTo(0, 0);
  }, [isHeld]);
  const now = Date.now();
  return (
    <div className="@container overflow-hidden rounded-lg border border-line bg-surface">
      <div aria-label={label} aria-rowcount={rows.length + 1} role="table">
        <Head />
        <div
          className="h-[calc(100dvh-27rem)] min-h-64 overflow-y-auto sm:h-[calc(100dvh-22rem)]"
          onFocus={onHold && (() => onHold(true))}
          onScroll={onHold && (({ currentTarget }) => onHold(currentTarget.scrollTop > 0))}
          ref={scroller}
          role="rowgroup"
          tabIndex={0}
        >
          <div className="relative" role="presentation" style={{ height: virtual.getTotalSize() }}>
            {shown.map(({ index, start }) => {
              const row = rows[index];
              if (!row) return null;
              const place = { index, isOpen: row.id !== null && row.id === openId, start };
              return <MessageRow key={row.rowKey} now={now} place={place} row={row} />;
            })}
          </div>
        </div>
      </div>
      <div className="flex min-h-10 flex-wrap items-center gap-x-4 gap-y-1 border-line border-t px-3 py-1.5 text-dim text-xs">
        {footer}
        {more.failure && <Button onClick={more.ask}>Try again</Button>}
      </div>
    </div>
  );
}

function Head() {
  return (
    <div className="border-line border-b" role="rowgroup">
      <div className={`${GRID} h-9 font-medium text-dim text-xs`} role="row">
        <div role="columnheader">Number</div>
        <div className="@max-lg:hidden" role="columnheader">
          Published
        </div>
        <div className="@max-4xl:hidden" role="columnheader">
          Key
        </div>
        <div role="columnheader">Payload</div>
        <div className="text-right" role="columnheader">
          Size
        </div>
      </div>
    </div>
  );
}

interface MessageRowProps {
  readonly now: number;
  readonly place: { readonly index: number; readonly isOpen: boolean; readonly start: number };
  readonly row: Row;
}

function MessageRow({ now, place: { index, isOpen, start }, row }: MessageRowProps) {
  const { id, key, mark, payload, publishedAt, seq, text, topic } = row;
  return (
    <div
      aria-rowindex={index + 2}
      className={`${GRID} absolute inset-x-0 top-0 h-9 border-line border-b hover:bg-raised ${isOpen ? "bg-raised" : ""}`}
      role="row"
      style={{ transform: `translateY(${start}px)` }}
    >
      <div className="truncate tabular-nums" role="cell">
        {id === null ? (
          seq
        ) : (
          <Link
            aria-current={isOpen ? "true" : undefined}
            className="outline-offset-[-2px] after:absolute after:inset-0"
            data-row
            replace={isOpen}
            resetScroll={false}
            search={(before: object) => ({ ...before, msg: id })}
            to="."
          >
            <span className="sr-only">Message </span>
            {seq}
          </Link>
        )}
      </div>
      <div className="truncate text-dim tabular-nums @max-lg:hidden" role="cell">
        {publishedAt && <Clock at={publishedAt} inRow={id !== null} now={now} />}
      </div>
      <div className="truncate @max-4xl:hidden" role="cell" title={key}>
        {key}
      </div>
      <div className="min-w-0 truncate font-mono text-xs" role="cell">
        {mark && (
          <span className="mr-2">
            <Badge tone="ok">{mark}</Badge>
          </span>
        )}
        {topic && <span className="mr-2 text-accent">{topic}</span>}
        {text === undefined ? (
          preview(payload)
        ) : (
          <span className="font-sans text-warn">{text}</span>
        )}
      </div>
      <div className="truncate text-right text-dim text-xs tabular-nums" role="cell">
        {payload && bytes(payload.bytes)}
      </div>
    </div>
  );
}

function preview(payload: Exact | null): string {
  return payload ? payload.text.slice(0, LINE_CHARS) : "";
}
