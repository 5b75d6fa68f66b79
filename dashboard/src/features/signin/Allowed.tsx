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
      That is needed here. Who made the key can give it that scope, or another key.
    </Empty>
  );
}
