import { type ReactNode, useEffect, useSyncExternalStore } from "react";
import type { LateCode } from "@/components/code";
import { Failure } from "@/components/states";
import { returned } from "@/live/connection";

interface LatePartProps<Found> {
  /** What is there until it comes. */
  readonly before: ReactNode;
  readonly children: (found: Found) => ReactNode;
  readonly code: LateCode<Found>;
  /** What is said where it does not come. */
  readonly not: string;
}

/** A part of a page whose code comes when it is shown first. Where it does not come, that is said in its place, and it
 * is asked for again by whoever wants it, or comes back to it, and when the server is back. */
export function LatePart<Found>({ before, children, code, not }: LatePartProps<Found>) {
  const now = useSyncExternalStore(code.listen, code.state);
  useEffect(() => {
    code.want();
    return returned.on(code.want);
  }, [code]);
  switch (now.state) {
    case "there":
      return children(now.found);
    case "failed":
      return <Failure error={now.error} onRetry={code.want} what={not} />;
    default:
      return before;
  }
}
