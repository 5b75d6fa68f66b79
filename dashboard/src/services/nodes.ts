import { queryOptions } from "@tanstack/react-query";
import { request } from "@/api/request";
import { NodeList } from "@/api/schema";
import { polledSlowly } from "@/services/polled";

export const nodesQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(NodeList, "/api/nodes", { query: { limit: 500 }, signal }),
    queryKey: ["nodes"],
    ...polledSlowly(5_000),
  });
