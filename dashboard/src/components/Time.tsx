import { type At, ago, clock, exactly } from "@/components/times";
import { useServerNow } from "@/components/useNow";

interface TimeProps {
  readonly at: string;
}

/** How long ago, or in how long; when exactly is said on hover. */
export function Time({ at }: TimeProps) {
  const now = useServerNow();
  return (
    <time className="whitespace-nowrap" dateTime={at} title={exactly(at)}>
      {ago(at, now)}
    </time>
  );
}

interface ClockProps {
  readonly at: string;
  /** What says which day is today. */
  readonly now: At;
}

/** The time of day, where moments are compared; when exactly is said on hover. */
export function Clock({ at, now }: ClockProps) {
  return (
    <time className="whitespace-nowrap" dateTime={at} title={exactly(at)}>
      {clock(at, now)}
    </time>
  );
}
