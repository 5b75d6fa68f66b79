import { clock } from "@/components/times";
import { useConnection } from "@/live/connection";

/** Said above every page while the server is not reached: what is shown is old then. */
export function Banner() {
  const { answeredAt, reason, state } = useConnection();
  const isLost = state === "lost";
  const since = answeredAt === null ? null : clock(answeredAt, Date.now());
  return (
    <div aria-live="polite">
      {isLost && (
        <p className="border-bad border-b bg-surface px-4 py-2 text-bad">
          Reconnecting: {reason}.{since && ` What is shown is of ${since}.`}
        </p>
      )}
    </div>
  );
}
