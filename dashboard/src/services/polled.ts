import { keepPreviousData } from "@tanstack/react-query";
import { currentPace } from "@/live/pace";

/** Options of a query whose answer changes by itself: asked again at the pace that was chosen, and paused with it. */
export const polled = {
  placeholderData: keepPreviousData,
  refetchInterval: () => currentPace() ?? (false as const),
} as const;

/** The same for what changes slowly, or costs the server more. */
export function polledSlowly(leastMs: number) {
  return {
    placeholderData: keepPreviousData,
    refetchInterval: () => {
      const ms = currentPace();
      return ms === null ? (false as const) : Math.max(ms, leastMs);
    },
  } as const;
}
