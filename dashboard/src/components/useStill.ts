import { type FocusEvent, type PointerEvent, useEffect, useReducer, useRef, useState } from "react";

export interface Standing<Item> {
  /** Those of the rows that are not in the list any more. */
  readonly gone: ReadonlySet<string>;
  /** How many of the list have no row yet. */
  readonly newCount: number;
  readonly rows: readonly Item[];
}

/** Rows of what is gone that are kept. Beyond that nobody finds his way, and the list begins anew. */
export const GONE_MAX_COUNT = 200;

/** The rows as they were, each as it is now, and below them what comes after the last of them. */
export function standing<Item>(
  before: readonly Item[],
  now: readonly Item[],
  keyOf: (item: Item) => string,
): Standing<Item> {
  // What was emptied is another list.
  if (before.length === 0 || now.length === 0) return { gone: new Set(), newCount: 0, rows: now };
  const current = new Map(now.map((item) => [keyOf(item), item]));
  const keys = new Set(before.map(keyOf));
  const last = now.findLastIndex((item) => keys.has(keyOf(item)));
  const rows = [...before.map((item) => current.get(keyOf(item)) ?? item), ...now.slice(last + 1)];
  const gone = new Set([...keys].filter((key) => !current.has(key)));
  if (gone.size > GONE_MAX_COUNT) return { gone: new Set(), newCount: 0, rows: now };
  return { gone, newCount: now.length - (rows.length - gone.size), rows };
}

// A finger is nowhere before it touches: there is no time to hold the row that it is on its way to.
const isAlwaysHeld = () => window.matchMedia("(hover: none)").matches;

/** The rows of a list that changes by itself. While the pointer or the focus is in it none of them moves, so that nobody
 * hits another one than he has aimed at. */
export function useStill<Item>(items: readonly Item[], keyOf: (item: Item) => string) {
  const scroller = useRef<HTMLDivElement>(null);
  const shown = useRef<readonly Item[]>([]);
  const [hasPointer, setPointer] = useState(false);
  const [hasFocus, setFocus] = useState(false);
  const [, draw] = useReducer((times: number) => times + 1, 0);
  const isHeld = hasPointer || hasFocus || isAlwaysHeld();
  const still = standing(isHeld ? shown.current : [], items, keyOf);
  useEffect(() => {
    shown.current = still.rows;
  });
  return {
    ...still,
    /** For the element that is around the list and the button that shows what is new. */
    hold: {
      onBlur: ({ currentTarget, relatedTarget }: FocusEvent) =>
        setFocus(currentTarget.contains(relatedTarget)),
      onFocus: () => setFocus(true),
      onPointerEnter: () => setPointer(true),
      // A finger is said to leave before the click that it makes.
      onPointerLeave: ({ pointerType }: PointerEvent) => setPointer(pointerType === "touch"),
    },
    scroller,
    show: () => {
      shown.current = [];
      draw();
      scroller.current?.scrollTo(0, 0);
      // The button that had it goes.
      scroller.current?.focus({ preventScroll: true });
    },
  };
}
