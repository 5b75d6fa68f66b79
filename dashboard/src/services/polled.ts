// How often what changes by itself is asked for again: at the pace that was chosen, paused with it, and never before a
// server that has named a time is asked again.

import { heededMs } from "@/api/errors";
import { currentPace, isPaceHeld } from "@/live/pace";
import { serverNow } from "@/live/serverClock";

/** What is known of a query when it is to be said when it is asked again. */
interface Asked {
  readonly state: { readonly data?: unknown; readonly error: Error | null };
}

/** Options of a query whose answer changes slowly, or costs the server more. */
export function polledSlowly(leastMs: number) {
  return {
    refetchInterval: ({ state }: Asked) => {
      const ms = currentPace();
      return ms !== null && heededMs(Math.max(ms, leastMs), state.error);
    },
  } as const;
}

/** Options of a query whose answer changes by itself. */
export const polled = polledSlowly(0);

/** When to ask again for what somebody waits for, such as a job that he has started: every so many ms, whatever the pace
 * of pages. Only who is nobody any more does not wait. */
export function followedEvery(ms: number, error: Error | null): number | false {
  return !isPaceHeld() && heededMs(ms, error);
}

/** As `polledSlowly`, for what comes a page at a time. Who has gone further than so many pages looks for something: all that
 * again and again would cost the server for nothing. He is told of when it is. */
export function polledPages(leastMs: number, mostCount: number) {
  const { refetchInterval } = polledSlowly(leastMs);
  return {
    refetchInterval: (asked: Asked) => {
      const data = asked.state.data as { readonly pages: readonly unknown[] } | undefined;
      return (data?.pages.length ?? 0) <= mostCount && refetchInterval(asked);
    },
  } as const;
}

/** A page, and when it came, by the server's clock: of a list that is asked for again the first is the oldest. */
export async function dated<Page extends object>(page: Promise<Page>) {
  return { ...(await page), came_at: new Date(serverNow()).toISOString() };
}
