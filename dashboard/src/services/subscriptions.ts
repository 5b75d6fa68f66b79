import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { z } from "zod";
import { request } from "@/api/request";
import {
  Moved,
  SubscribersAnswer,
  SubscriptionAnswer,
  type SubscriptionChange,
  SubscriptionCreated,
  SubscriptionList,
  SubscriptionTopics,
} from "@/api/schema";
import { useAct } from "@/services/act";
import { dated, polled, polledPages, polledSlowly } from "@/services/polled";
import { askSame } from "@/services/same";

const PAGE_COUNT = 100;
const POLLED_PAGES_COUNT = 3;
const LIST_MS = 5_000;
const TOPICS_COUNT = 100;

const at = (name: string, more = "") => `/api/subscriptions/${encodeURIComponent(name)}${more}`;
const SUBSCRIPTION = {
  at,
  mark: "created_at",
  schema: SubscriptionAnswer,
  what: "subscription",
} as const;

/** Which subscription is meant, of those that have had the name. */
export type SubscriptionMeant = Pick<SubscriptionAnswer, "created_at" | "name">;

/** Where a subscription begins, or goes on: as the API takes it. */
export type Start = "new" | "earliest" | { readonly seq: number } | { readonly time: string };

/** Durable subscriptions by name, a page at a time. The first pages are asked for again at the pace. */
export const subscriptionPagesQuery = (q: string) =>
  pagesQuery(["subscriptions", "list", q], { q: q || null });

/** Those that messages of the topic go to; of the topics of each they have only this one. */
export const followerPagesQuery = (topic: string) =>
  pagesQuery(["subscriptions", "followers", topic], { topic });

function pagesQuery(queryKey: readonly string[], query: Readonly<Record<string, string | null>>) {
  return infiniteQueryOptions({
    getNextPageParam: (page: SubscriptionList) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      dated(
        request(SubscriptionList, "/api/subscriptions", {
          query: { ...query, cursor: pageParam, limit: PAGE_COUNT },
          signal,
        }),
      ),
    queryKey,
    ...polledPages(LIST_MS, POLLED_PAGES_COUNT),
  });
}

/** The first that have this in their name. */
export const subscriptionNamesQuery = (q: string, limit: number) =>
  queryOptions({
    enabled: q !== "",
    queryFn: ({ signal }) =>
      request(SubscriptionList, "/api/subscriptions", { query: { limit, q }, signal }),
    queryKey: ["subscriptions", "names", q, limit],
  });

export const subscriptionQuery = (name: string) =>
  queryOptions({
    queryFn: ({ signal }) => request(SubscriptionAnswer, at(name), { signal }),
    queryKey: ["subscriptions", "one", name],
    ...polled,
  });

/** Where one is that has more topics than come with it, a page at a time. */
export const subscriptionTopicsQuery = (name: string) =>
  infiniteQueryOptions({
    getNextPageParam: (page: SubscriptionTopics) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(SubscriptionTopics, at(name, "/topics"), {
        query: { cursor: pageParam, limit: TOPICS_COUNT },
        signal,
      }),
    queryKey: ["subscriptions", "topics", name],
  });

export const subscribersQuery = (name: string) =>
  queryOptions({
    queryFn: ({ signal }) => request(SubscribersAnswer, at(name, "/subscribers"), { signal }),
    queryKey: ["subscriptions", "subscribers", name],
    ...polledSlowly(LIST_MS),
  });

/** What a seek would mean; nothing moves. */
export const seekPlanQuery = (name: string, start: Start) =>
  queryOptions({
    gcTime: 0,
    queryFn: ({ signal }) =>
      request(Moved, at(name, "/seek"), {
        body: { dry_run: true, start },
        method: "POST",
        signal,
      }),
    queryKey: ["plans", "seek", name, start],
    retry: false,
  });

const TOUCHES = { touches: [["subscriptions"]] } as const;

export interface NewSubscription extends Partial<SubscriptionChange> {
  readonly ack: "auto" | "explicit";
  readonly name: string;
  readonly order: "publish" | "strict";
  readonly start: Start;
  readonly topic: string;
}

export const useCreateSubscription = () =>
  useAct(
    (ask, body: NewSubscription) =>
      ask(SubscriptionCreated, "/api/subscriptions", { body, method: "POST" }),
    TOUCHES,
  );

interface SubscriptionSettings {
  readonly body: Partial<SubscriptionChange>;
  /** Of the one that is meant. */
  readonly created_at: string;
}

export const useChangeSubscription = (name: string) =>
  useAct(
    async (ask, { body, created_at }: SubscriptionSettings) => {
      await askSame(ask, SUBSCRIPTION, { created_at, name });
      return ask(SubscriptionAnswer, at(name), { body, method: "PATCH" });
    },
    { ...TOUCHES, shows: (answer) => [subscriptionQuery(name).queryKey, answer] },
  );

/** Pauses the one that is shown, or resumes it if it is paused. */
export const usePauseSubscription = () =>
  useAct(async (ask, shown: SubscriptionMeant & Pick<SubscriptionAnswer, "paused">) => {
    await askSame(ask, SUBSCRIPTION, shown);
    const path = at(shown.name, shown.paused ? "/resume" : "/pause");
    return ask(SubscriptionAnswer, path, { method: "POST" });
  }, TOUCHES);

/** `hasGrown`: whether it means more by now than was decided upon; then nothing moves, and it answers with what it would
 * mean. Else with null. */
export const useSeek = (meant: SubscriptionMeant, start: Start) =>
  useAct(async (ask, hasGrown: (now: Moved) => boolean) => {
    await askSame(ask, SUBSCRIPTION, meant);
    const moved = (dry_run: boolean) => {
      const asked = { body: { dry_run, start }, isLook: dry_run, method: "POST" } as const;
      return ask(Moved, at(meant.name, "/seek"), asked);
    };
    const now = await moved(true);
    if (hasGrown(now)) return now;
    await moved(false);
    return null;
  }, TOUCHES);

export const useDeleteSubscription = (meant: SubscriptionMeant) =>
  useAct(async (ask) => {
    await askSame(ask, SUBSCRIPTION, meant);
    return ask(z.undefined(), at(meant.name), { method: "DELETE" });
  }, TOUCHES);
