import { queryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { NodeAnswer, NodeDrain, NodeList, RingAnswer, RouteAnswer } from "@/api/schema";
import { useAct } from "@/services/act";
import { followedEvery, polledSlowly } from "@/services/polled";

export const nodesQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(NodeList, "/api/nodes", { query: { limit: 500 }, signal }),
    queryKey: ["nodes"],
    ...polledSlowly(5_000),
  });

// Of one that leaves or comes back, while somebody waits for it; the pace of pages is not for this.
const FOLLOWED_EVERY_MS = 1_000;

/** One node, as it is now, until it is where somebody waits for it to be. */
export const followedNodeQuery = (id: string, isDone: (node: NodeAnswer) => boolean) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(NodeAnswer, `/api/nodes/${encodeURIComponent(id)}`, { signal }),
    queryKey: ["nodes", "followed", id],
    refetchInterval: ({ state: { data, error } }) =>
      data && isDone(data) ? false : followedEvery(FOLLOWED_EVERY_MS, error),
    staleTime: 0,
  });

/** Which node has how much of the durable subscriptions. */
export const ringQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(RingAnswer, "/api/ring", { signal }),
    queryKey: ["nodes", "ring"],
    ...polledSlowly(5_000),
  });

/** Which node has this durable subscription. For operators. */
export const subscriptionRouteQuery = (name: string) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(RouteAnswer, "/api/route", { query: { subscription: name }, signal }),
    queryKey: ["nodes", "route", name],
    ...polledSlowly(5_000),
  });

/** Has a node leave the others, or serve again; answered when the others know it. */
export const useDrain = (id: string) =>
  useAct(
    (ask, isDraining: boolean) =>
      ask(NodeDrain, `/api/nodes/${encodeURIComponent(id)}/drain`, {
        method: isDraining ? "POST" : "DELETE",
      }),
    { touches: [["nodes"], ["health"]] },
  );
