import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { asApiError } from "@/api/errors";
import { stranger } from "@/live/acquaintance";
import { onPace } from "@/live/pace";

// What may succeed a moment later is asked again so often before a person hears of it.
const RETRIES_COUNT = 2;

export function createQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    defaultOptions: {
      queries: {
        // Paused means that nothing is asked.
        refetchOnReconnect: false,
        refetchOnWindowFocus: false,
        retry: (failures, error) => failures < RETRIES_COUNT && asApiError(error).isTransient,
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
  // The session has ended while the page was open: whoever asks is asked who he is.
  function doubt(error: unknown): void {
    if (asApiError(error).code === "unauthenticated") askAgain();
  }
  const askAgain = () => void client.invalidateQueries({ queryKey: ["whoami"] });
  stranger.on(askAgain);
  onPace(() => repace(client));
  return client;
}

/** Another pace counts at once, also for what is not rendered again: each timer was set for the one before. */
function repace(client: QueryClient): void {
  for (const { observers } of client.getQueryCache().getAll()) {
    for (const observer of observers) observer.setOptions(observer.options);
  }
}
