import { queryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { Attentive, DeadLetterList, History, StatsAnswer, TopicActivities } from "@/api/schema";
import { serverNow } from "@/live/serverClock";
import { joined, missingCount, type Reach } from "@/services/history";
import { polled, polledSlowly } from "@/services/polled";

// The server looks at topics, and at what needs a look, as often as this.
const LOOK_MS = 10_000;

export const statsQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(StatsAnswer, "/api/stats", { signal }),
    queryKey: ["stats"],
    ...polled,
  });

/** The newest points of one resolution. What is known of them is not asked for again. */
export const historyQuery = (reach: Reach) =>
  queryOptions({
    queryFn: async ({ client, queryKey, signal }) => {
      const known = client.getQueryData<History>(queryKey)?.samples ?? [];
      const limit = missingCount(known, reach, serverNow());
      const query = { interval_s: reach.intervalS, limit: limit ?? reach.count };
      const answer = await request(History, "/api/stats/history", { query, signal });
      if (limit === null) return answer;
      return { ...answer, samples: joined(known, answer.samples, reach) };
    },
    queryKey: ["stats", "history", reach.intervalS, reach.count],
    ...polledSlowly(reach.intervalS * 1_000),
  });

export const attentionQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(Attentive, "/api/stats/attention", { signal }),
    queryKey: ["stats", "attention"],
    ...polledSlowly(LOOK_MS),
  });

/** The newest dead letter that was not redriven. */
export const newestLetterQuery = (isThere: boolean) =>
  queryOptions({
    enabled: isThere,
    queryFn: ({ signal }) =>
      request(DeadLetterList, "/api/dlq", { query: { limit: 1, redriven: false }, signal }),
    queryKey: ["deadLetters", "newestOpen"],
    ...polledSlowly(LOOK_MS),
  });

export const busiestQuery = (limit: number) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(TopicActivities, "/api/stats/topics", { query: { limit }, signal }),
    queryKey: ["stats", "busiest", limit],
    ...polledSlowly(LOOK_MS),
  });

/** What goes through these topics; as many as `namesTogether` gives. */
export const activityQuery = (names: readonly string[]) =>
  queryOptions({
    enabled: names.length > 0,
    queryFn: ({ signal }) =>
      request(TopicActivities, "/api/stats/topics", { query: { names: names.join(",") }, signal }),
    queryKey: ["stats", "activity", ...names],
    staleTime: LOOK_MS / 2,
    ...polledSlowly(LOOK_MS),
  });

// The bounds of one request.
const NAMES_MAX_COUNT = 50;
const NAMES_MAX_CHARS = 2_000;

/** Names in groups that one request may have. */
export function namesTogether(names: readonly string[]): string[][] {
  const groups: string[][] = [];
  let chars = 0;
  for (const name of names) {
    const group = groups.at(-1);
    chars += name.length + 1;
    if (group && group.length < NAMES_MAX_COUNT && chars <= NAMES_MAX_CHARS) group.push(name);
    else {
      groups.push([name]);
      chars = name.length + 1;
    }
  }
  return groups;
}
