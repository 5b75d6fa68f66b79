import { useVirtualizer } from "@tanstack/react-virtual";
import type { ReactNode } from "react";
import { AsOf, type Dated } from "@/components/AsOf";
import { GONE, Meanwhile } from "@/components/Meanwhile";
import { MoreSaid, type Pages, useMore } from "@/components/More";
import { useStill } from "@/components/useStill";

interface VirtualRowsProps<Item> {
  /** What it says below the rows, such as how many there are. */
  readonly children: (there: readonly Item[]) => ReactNode;
  /** `there`: what has a row and is not gone. */
  readonly head: (there: readonly Item[]) => ReactNode;
  readonly items: readonly Item[];
  /** What the item is: its row keeps the focus, wherever in the list it comes to be. */
  readonly keyOf: (item: Item) => string;
  readonly label: string;
  readonly list: Pages & Dated;
  /** What it says behind that. */
  readonly note?: ReactNode;
  readonly row: (item: Item, index: number, isGone: boolean) => ReactNode;
  readonly rowPx?: number;
}

// So many rows before the end the next page is asked for.
const AHEAD_COUNT = 30;

/** A table of which only those rows exist that are seen, so that a hundred thousand cost as much as thirty. */
export function VirtualRows<Item>({
  children,
  head,
  items,
  keyOf,
  label,
  list,
  note,
  row,
  rowPx = 44,
}: VirtualRowsProps<Item>) {
  const { gone, hold, newCount, rows: still, scroller, show } = useStill(items, keyOf);
  const there = gone.size === 0 ? still : still.filter((item) => !gone.has(keyOf(item)));
  const rows = useVirtualizer({
    count: still.length,
    estimateSize: () => rowPx,
    getScrollElement: () => scroller.current,
    overscan: 8,
  });
  const shown = rows.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  const more = useMore(list, last >= still.length - AHEAD_COUNT);
  return (
    <div className="overflow-hidden rounded-lg border border-line bg-surface" {...hold}>
      <div aria-label={label} aria-rowcount={list.hasNextPage ? -1 : still.length + 1} role="table">
        <div className="border-line border-b" role="rowgroup">
          {head(there)}
        </div>
        <div
          className="max-h-[max(16rem,calc(100dvh-17rem))] overflow-y-auto sm:max-h-[max(16rem,calc(100dvh-17.5rem))]"
          ref={scroller}
          role="rowgroup"
          tabIndex={0}
        >
          <div className="relative" role="presentation" style={{ height: rows.getTotalSize() }}>
            {shown.map(({ index, start }) => {
              const item = still[index];
              if (item === undefined) return null;
              const isGone = gone.has(keyOf(item));
              return (
                <div
                  className={`absolute inset-x-0 top-0 ${isGone ? GONE : ""}`}
                  key={keyOf(item)}
                  role="presentation"
                  style={{ height: rowPx, transform: `translateY(${start}px)` }}
                >
                  {row(item, index, isGone)}
                </div>
              );
            })}
          </div>
        </div>
      </div>
      <p aria-live="polite" className="-mt-px border-line border-t px-4 py-2 text-dim text-xs">
        {children(there)}
        <MoreSaid list={list} more={more} />
        {note} <AsOf list={list} /> <Meanwhile gone={gone} newCount={newCount} onShow={show} />
      </p>
    </div>
  );
}
