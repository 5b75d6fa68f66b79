import { QueryClient } from "@tanstack/react-query";
import { asApiError } from "@/api/errors";

// What may succeed a moment later is asked again so often before a person hears of it.
const RETRIES_COUNT = 2;

export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // Paused means that nothing is asked.
        refetchOnReconnect: false,
        refetchOnWindowFocus: false,
        retry: (failures, error) => failures < RETRIES_COUNT && asApiError(error).isTransient,
      },
    },
  });
}
