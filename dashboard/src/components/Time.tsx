import type { MouseEvent } from "react";
import { type At, ago, clock, exactly } from "@/components/times";
import { useServerNow } from "@/components/useNow";

interface TimeProps {
  readonly at: string;
  /** In a row that is a link as a whole: it lies above that link, so that one can point at it. */
  readonly inRow?: boolean;
}

/** How long ago, or in how long; when exactly is said on hover. */
export function Time({ at, inRow }: TimeProps) {
  const now = useServerNow();
  return (
    <Moment at={at} inRow={inRow}>
      {ago(at, now)}
    </Moment>
  );
}

interface ClockProps extends TimeProps {
  /** What says which day is today. */
  readonly now: At;
}

/** The time of day, where moments are compared; when exactly is said on hover. */
export function Clock({ at, inRow, now }: ClockProps) {
  return (
    <Moment at={at} inRow={inRow}>
      {clock(at, now)}
    </Moment>
  );
}

interface MomentProps {
  readonly at: string;
  readonly children: string;
  readonly inRow: boolean | undefined;
}

function Moment({ at, children, inRow = false }: MomentProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: it hands on what is meant for the link of the row, to which keys go by themselves
    <time
      className={`whitespace-nowrap ${inRow ? "relative z-10 cursor-pointer" : ""}`}
      dateTime={at}
      onAuxClick={inRow ? openRow : undefined}
      onClick={inRow ? openRow : undefined}
      title={exactly(at)}
    >
      {children}
    </time>
  );
}

function openRow(event: MouseEvent) {
  const { altKey, button, currentTarget, shiftKey } = event;
  const isMiddle = button === 1;
  if (event.type === "auxclick" && !isMiddle) return;
  const selection = window.getSelection();
  // Who has drawn over it wants to copy it.
  if (selection && !selection.isCollapsed && selection.getRangeAt(0).intersectsNode(currentTarget))
    return;
  const link = currentTarget.closest("[role=row], tr")?.querySelector("a");
  // As it was clicked: with a key, or the middle button, that is in another tab. What a script clicks with that button
  // opens none everywhere, so it says the key of each system.
  link?.dispatchEvent(
    new window.MouseEvent("click", {
      altKey,
      bubbles: true,
      cancelable: true,
      ctrlKey: isMiddle || event.ctrlKey,
      metaKey: isMiddle || event.metaKey,
      shiftKey,
    }),
  );
}
