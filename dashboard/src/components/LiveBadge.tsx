import { Badge } from "@/components/Badge";
import type { Tone } from "@/components/stateColours";
import type { LiveState, Machine } from "@/live/machine";

const LOOK: Readonly<Record<LiveState, readonly [Tone, string]>> = {
  away: ["idle", "Not connected"],
  asking: ["idle", "Connecting"],
  off: ["idle", "Not connected"],
  open: ["ok", "Connected"],
  opening: ["idle", "Connecting"],
  refused: ["bad", "Not connected"],
  waiting: ["warn", "Reconnecting"],
};

// Before it is known whether there will be one.
const BUSY: ReadonlySet<LiveState> = new Set(["asking", "off", "opening"]);

/** The state of a live connection in words, and why it is not open. */
export function LiveBadge({ machine }: { readonly machine: Machine }) {
  const [tone, label] = LOOK[machine.state];
  const { reason } = machine;
  return (
    <Badge title={reason ?? undefined} tone={tone}>
      <span aria-busy={BUSY.has(machine.state)} aria-live="polite">
        {label}
        {reason && <span className="max-sm:sr-only">: {reason}</span>}
      </span>
    </Badge>
  );
}
