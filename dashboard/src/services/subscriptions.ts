import { queryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { SubscriptionList } from "@/api/schema";
import { polledSlowly } from "@/services/polled";

// The most that the server gives at once.
export const LOOKED_AT_COUNT = 500;

/** The first durable subscriptions by name, with how far each is. */
export const subscriptionsQuery = () =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(SubscriptionList, "/api/subscriptions", {
        query: { limit: LOOKED_AT_COUNT },
        signal,
      }),
    queryKey: ["subscriptions", "first"],
    ...polledSlowly(15_000),
  });
