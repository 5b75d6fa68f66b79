import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { z } from "zod";
import { request } from "@/api/request";
import { type LimitsChange, TenantAnswer, TenantList } from "@/api/schema";
import { useAct } from "@/services/act";
import { polledSlowly } from "@/services/polled";
import { askSame } from "@/services/same";

const PAGE_COUNT = 100;
// Each is counted by all nodes.
const LIST_MS = 10_000;

const at = (name: string) => `/api/tenants/${encodeURIComponent(name)}`;
const TENANT = { at, mark: "created_at", schema: TenantAnswer, what: "tenant" } as const;
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

const TOUCHES = { touches: [["tenants"]] } as const;

export interface NewTenant {
  readonly limits: LimitsChange;
  readonly name: string;
}

export const useCreateTenant = () =>
  useAct(
    (ask, body: NewTenant) => ask(TenantAnswer, "/api/tenants", { body, method: "POST" }),
    TOUCHES,
  );

/** Which tenant is meant, of those that have had the name. */
type TenantMeant = Pick<TenantAnswer, "created_at" | "name">;

export const useChangeTenant = (meant: TenantMeant) =>
  useAct(
    async (ask, limits: LimitsChange) => {
      await askSame(ask, TENANT, meant);
      return ask(TenantAnswer, at(meant.name), { body: { limits }, method: "PATCH" });
    },
    { ...TOUCHES, shows: (answer) => [tenantQuery(meant.name).queryKey, answer] },
  );

export const useDeleteTenant = (meant: TenantMeant) =>
  useAct(async (ask) => {
    await askSame(ask, TENANT, meant);
    return ask(z.undefined(), at(meant.name), { method: "DELETE" });
  }, TOUCHES);
