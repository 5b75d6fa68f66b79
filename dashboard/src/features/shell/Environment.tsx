import { useQuery } from "@tanstack/react-query";
import { Badge } from "@/components/Badge";
import { environment } from "@/features/shell/model";
import { useConnection } from "@/live/connection";
import { usePace } from "@/live/pace";
import { useIsStill } from "@/live/still";
import { healthQuery } from "@/services/server";

/** What one must know before one does something here: whether it lasts, and who can do it too. */
export function Environment() {
  const { data } = useQuery(healthQuery());
  const found = data && environment(data);
  return (
    found && (
      <Badge title={found.title} tone={found.tone}>
        <span>
          {found.label}
          {found.more && <span className="max-sm:sr-only">{found.more}</span>}
        </span>
      </Badge>
    )
  );
}

/** What is true of all that is shown: before anybody has signed in, or where a page has failed, nothing is live. */
export function ConnectionState() {
  const { reason, state } = useConnection();
  const isStill = useIsStill();
  const paused = usePace() === null;
  if (state === "connecting") return <Badge tone="idle">Connecting</Badge>;
  if (state === "lost") {
    return (
      <Badge title={reason ?? undefined} tone="bad">
        Not reached
      </Badge>
    );
  }
  if (paused) return <Badge tone="paused">Paused</Badge>;
  return isStill ? null : (
    <Badge tone="ok">
      <span className="max-sm:sr-only">Live</span>
    </Badge>
  );
}
