import { queryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { History, StatsAnswer } from "@/api/schema";
import { polled, polledSlowly } from "@/services/polled";

// The server takes a sample every five seconds.
const SAMPLE_MS = 5_000;
// Of a long history a new sample is not seen at once, and all of it comes each time.
const LONG_COUNT = 360;
const LONG_MS = 15_000;

export const statsQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(StatsAnswer, "/api/stats", { signal }),
    queryKey: ["stats"],
    ...polled,
  });

/** The newest samples; 720 of them are the hour that the server keeps. */
export const historyQuery = (limit: number) =>
  queryOptions({
    queryFn: ({ signal }) => request(History, "/api/stats/history", { query: { limit }, signal }),
    queryKey: ["stats", "history", limit],
    ...polledSlowly(limit < LONG_COUNT ? SAMPLE_MS : LONG_MS),
  });
