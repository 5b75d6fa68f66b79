import {
  infiniteQueryOptions,
  queryOptions,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { z } from "zod";
import { request } from "@/api/request";
import { type LimitsChange, TenantAnswer, TenantList } from "@/api/schema";
import { polledSlowly } from "@/services/polled";

const PAGE_COUNT = 100;
// Each is counted by all nodes.
const LIST_MS = 10_000;

const at = (name: string) => `/api/tenants/${encodeURIComponent(name)}`;
const often = polledSlowly(LIST_MS);

/** Beside the few that the choice in the header has: they are the same ones, a page at a time. */
export const tenantPagesQuery = () =>
  infiniteQueryOptions({
    ...often,
    getNextPageParam: (page: TenantList) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(TenantList, "/api/tenants", {
        query: { cursor: pageParam, limit: PAGE_COUNT },
        signal,
      }),
    queryKey: ["tenants", "list"],
  });

export const tenantQuery = (name: string) =>
  queryOptions({
    ...often,
    queryFn: ({ signal }) => request(TenantAnswer, at(name), { signal }),
    queryKey: ["tenants", "one", name],
  });

export const ownTenantQuery = () =>
  queryOptions({
    ...often,
    queryFn: ({ signal }) => request(TenantAnswer, "/api/tenant", { signal }),
    queryKey: ["tenants", "own"],
  });

function useTenantChange<Variables, Answer>(change: (variables: Variables) => Promise<Answer>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: () => client.invalidateQueries({ queryKey: ["tenants"] }),
  });
}

export interface NewTenant {
  readonly limits: LimitsChange;
  readonly name: string;
}

export const useCreateTenant = () =>
  useTenantChange((body: NewTenant) =>
    request(TenantAnswer, "/api/tenants", { body, method: "POST" }),
  );

export const useChangeTenant = (name: string) =>
  useTenantChange((limits: LimitsChange) =>
    request(TenantAnswer, at(name), { body: { limits }, method: "PATCH" }),
  );

export function useDeleteTenant(name: string) {
  const client = useQueryClient();
  const gone = tenantQuery(name).queryKey;
  return useMutation({
    mutationFn: () => request(z.undefined(), at(name), { method: "DELETE" }),
    onSuccess: () =>
      client.invalidateQueries({
        predicate: ({ queryKey }) => queryKey[0] === "tenants" && queryKey[2] !== gone[2],
      }),
  });
}
