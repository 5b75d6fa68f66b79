import { queryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { DeadLetterList } from "@/api/schema";
import { polledSlowly } from "@/services/polled";

/** The newest dead letters of subscribers that were not durable: their count is in no subscription. */
export const ephemeralLettersQuery = () =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(DeadLetterList, "/api/dlq", { query: { limit: 1, subscription: "" }, signal }),
    queryKey: ["deadLetters", "ephemeral"],
    ...polledSlowly(10_000),
  });

/** The newest of all. */
export const newestLettersQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(DeadLetterList, "/api/dlq", { query: { limit: 50 }, signal }),
    queryKey: ["deadLetters", "newest"],
    ...polledSlowly(5_000),
  });
