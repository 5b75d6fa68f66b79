import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { asApiError, heededMs } from "@/api/errors";
import { stranger } from "@/live/acquaintance";
import { onPace } from "@/live/pace";

// What may succeed a moment later is asked again so often before a person hears of it.
const RETRIES_COUNT = 2;
const RETRY_FIRST_MS = 1_000;
// Who waits longer than this is told why.
const RETRY_MAX_MS = 5_000;
// Whoever may not do something may have had the right to it a moment ago. So often that is asked again.
const FORBIDDEN_MS = 10_000;
// What the server says to who has ended, or has gone, while the page was open.
const DOUBTS: readonly string[] = ["tenant_not_found", "unauthenticated"];

export function createQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    defaultOptions: {
      // What a browser calls offline is a guess: the server may be on the same machine. What it says is known by asking; and
      // nothing is sent later that nobody wants any more.
      mutations: { networkMode: "always" },
      queries: {
        networkMode: "always",
        // Paused means that nothing is asked.
        refetchOnReconnect: false,
        refetchOnWindowFocus: false,
        retry: mayRetry,
        retryDelay: retryMs,
      },
    },
    mutationCache: new MutationCache({
      onError: (error, _variables, _result, { options }) => {
        if (options.mutationKey?.[0] !== "session") doubt(error);
      },
    }),
    queryCache: new QueryCache({
      onError: (error, { queryKey }) => {
        if (queryKey[0] !== "whoami") doubt(error);
      },
    }),
  });
  // The session has ended while the page was open, or the tenant has gone: whoever asks is asked who he is.
  function doubt(error: unknown): void {
    const { code } = asApiError(error);
    if (DOUBTS.includes(code) || (code === "forbidden" && isDue())) askAgain();
  }
  // Many may hear it at once: that is one question.
  const askAgain = () =>
    void client.invalidateQueries({ queryKey: ["whoami"] }, { cancelRefetch: false });
  // What is refused is asked for again and again: each time that would be two questions.
  let askedAt = Number.NEGATIVE_INFINITY;
  function isDue(): boolean {
    if (Date.now() - askedAt < FORBIDDEN_MS) return false;
    askedAt = Date.now();
    return true;
  }
  stranger.on(askAgain);
  onPace(() => repace(client));
  return client;
}

/** Whether what has failed so often before is tried again without a word. */
export function mayRetry(failures: number, error: unknown): boolean {
  const isSoon = retryMs(failures, error) <= RETRY_MAX_MS;
  return failures < RETRIES_COUNT && asApiError(error).isTransient && isSoon;
}

export function retryMs(failures: number, error: unknown): number {
  return heededMs(RETRY_FIRST_MS * 2 ** failures, error);
}

/** Another pace counts at once, also for what is not rendered again: each timer was set for the one before. */
function repace(client: QueryClient): void {
  for (const { observers } of client.getQueryCache().getAll()) {
    for (const observer of observers) observer.setOptions(observer.options);
  }
}
