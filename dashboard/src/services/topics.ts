import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { useRef } from "react";
import { z } from "zod";
import { request } from "@/api/request";
import { PurgeAnswer, type Retention, TopicAnswer, TopicList } from "@/api/schema";
import { type Ask, useAct } from "@/services/act";
import { dated, polled, polledPages, polledSlowly } from "@/services/polled";
import { askSame } from "@/services/same";

export const PAGE_COUNT = 100;
export const POLLED_PAGES_COUNT = 3;
const LIST_MS = 5_000;
const PURGE_MS = 2_000;

const at = (name: string) => `/api/topics/${encodeURIComponent(name)}`;
const TOPIC = { at, mark: "epoch", schema: TopicAnswer, what: "topic" } as const;

/** Topics by name, a page at a time. The first pages are asked for again at the pace. */
export const topicsQuery = (q: string) =>
  infiniteQueryOptions({
    getNextPageParam: (page: TopicList) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      dated(
        request(TopicList, "/api/topics", {
          query: { cursor: pageParam, limit: PAGE_COUNT, q: q || null },
          signal,
        }),
      ),
    queryKey: ["topics", "list", q],
    ...polledPages(LIST_MS, POLLED_PAGES_COUNT),
  });

export const topicQuery = (name: string) =>
  queryOptions({
    queryFn: ({ signal }) => request(TopicAnswer, at(name), { signal }),
    queryKey: ["topics", "one", name],
    ...polled,
  });

/** The first few whose name has the text, for whoever looks for one. */
export const topicNamesQuery = (q: string, limit: number) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(TopicList, "/api/topics", { query: { limit, q: q || null }, signal }),
    queryKey: ["topics", "names", q, limit],
  });

/** What a topic keeps of which nothing else is said; null if the server does not tell. */
export const retentionDefaultsQuery = () =>
  queryOptions({
    queryFn: async ({ signal }) => {
      const answer = await request(TopicList, "/api/topics", { query: { limit: 1 }, signal });
      return answer.default_retention ?? null;
    },
    queryKey: ["topics", "defaults"],
    staleTime: 60_000,
  });

/** Some that were there when the page was opened. */
export const topicsBeforeQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(TopicList, "/api/topics", { query: { limit: 20 }, signal }),
    queryKey: ["topicsBefore"],
    staleTime: Number.POSITIVE_INFINITY,
  });

export interface NewTopic {
  readonly name: string;
  readonly retention: Partial<Retention>;
}

const TOUCHES = { touches: [["topics"]] } as const;

export const useCreateTopic = () =>
  useAct(
    (ask, body: NewTopic) => ask(TopicAnswer, "/api/topics", { body, method: "POST" }),
    TOUCHES,
  );

export interface TopicChange {
  /** Of the one that is meant. */
  readonly epoch: string;
  /** Whether messages would be lost by it, of the topic as it is now; then it is not made. */
  readonly isLossy: (now: TopicAnswer) => boolean;
  readonly retention: Partial<Retention>;
}

/** Answers with the topic as it is then, and whether it was changed. */
export const useChangeTopic = (name: string) =>
  useAct(
    async (ask, { epoch, isLossy, retention }: TopicChange) => {
      // What is shown may be older than what has come since.
      const now = await askSame(ask, TOPIC, { epoch, name });
      if (isLossy(now)) return { isChanged: false, topic: now };
      const asked = { body: { retention }, method: "PATCH" } as const;
      return { isChanged: true, topic: await ask(TopicAnswer, at(name), asked) };
    },
    { ...TOUCHES, shows: ({ topic }) => [topicQuery(name).queryKey, topic] },
  );

/** Which topic is meant, of those that have had the name. */
export type TopicMeant = Pick<TopicAnswer, "epoch" | "name">;

/** How many messages a purge would remove; it is asked for again at the pace. */
export const purgeCountQuery = (name: string) =>
  queryOptions({
    gcTime: 0,
    queryFn: ({ signal }) =>
      request(PurgeAnswer, `${at(name)}/purge`, {
        body: { dry_run: true },
        method: "POST",
        signal,
      }),
    queryKey: ["topics", "purge", name],
    refetchOnMount: "always",
    ...polledSlowly(PURGE_MS),
  });

/** Removes all that is stored, request by request, until it is stopped; returns how many there were, and whether there
 * may be more. `onProgress`: so far. */
export function usePurgeTopic(topic: TopicMeant, onProgress: (count: number) => void) {
  const isStopped = useRef(false);
  const purge = async (ask: Ask) => {
    isStopped.current = false;
    await askSame(ask, TOPIC, topic);
    let count = 0;
    let cursor: string | null = "";
    while (cursor !== null && !isStopped.current) {
      const body = cursor === "" ? {} : { cursor };
      const asked = { body, method: "POST" } as const;
      const answer: PurgeAnswer = await ask(PurgeAnswer, `${at(topic.name)}/purge`, asked);
      count += answer.purged_count;
      onProgress(count);
      cursor = answer.next;
    }
    return { count, hasMore: cursor !== null };
  };
  const stop = () => {
    isStopped.current = true;
  };
  const touches = [["topics", "one"], ["topics", "purge"], ["messages"]];
  return { ...useAct<void, Awaited<ReturnType<typeof purge>>>(purge, { touches }), stop };
}

export const useDeleteTopic = (topic: TopicMeant) =>
  useAct(async (ask) => {
    await askSame(ask, TOPIC, topic);
    return ask(z.undefined(), at(topic.name), { method: "DELETE" });
  }, TOUCHES);
