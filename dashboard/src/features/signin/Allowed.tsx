import type { ReactNode } from "react";
import { Empty } from "@/components/states";

interface AllowedProps {
  readonly children: ReactNode;
  /** Why it may not be seen, if that is so. */
  readonly reason: string | null;
}

/** What the key may see; else what it lacks, and the server is not asked in vain. */
export function Allowed({ children, reason }: AllowedProps) {
  if (reason === null) return children;
  return (
    <Empty title={reason}>
      Who made the key can give it what is needed here, or make another one.
    </Empty>
  );
}
