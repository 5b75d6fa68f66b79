// Who asks, and what the server runs on.

import { queryOptions, useQuery } from "@tanstack/react-query";
import { setSession, useCaller } from "@/api/caller";
import { request } from "@/api/request";
import { type Grant, Health, TenantList, WhoAmI } from "@/api/schema";
import { polledSlowly } from "@/services/polled";

type Scope = Grant["scope"];
const WHOAMI_MS = 60_000;
const FIRST_MS = 5_000;
const ACTING_MS = 10_000;

/** Who asks, with the tenant of the key itself, whichever one the page shows. */
export const whoamiQuery = () =>
  queryOptions({
    queryFn: async ({ client, queryKey, signal }) => {
      const asked = { anySession: true, ofNoTenant: true, signal };
      const who = await request(WhoAmI, "/api/whoami", asked);
      const before = client.getQueryData<WhoAmI>(queryKey);
      setSession(who.session?.id ?? null);
      // Somebody else has signed in, here or in another tab: what the page has is not his.
      if (before && !isSame(before, who)) void client.resetQueries({ predicate: isOfPages });
      return who;
    },
    queryKey: ["whoami"],
    // This is what keeps a session that is used. Without a first answer there is no page.
    refetchInterval: (asked) =>
      polledSlowly(asked.state.data ? WHOAMI_MS : FIRST_MS).refetchInterval(asked),
    staleTime: WHOAMI_MS,
  });

export const healthQuery = () =>
  queryOptions({
    queryFn: ({ signal }) => request(Health, "/health", { signal }),
    queryKey: ["health"],
    ...polledSlowly(5_000),
  });

/** For operators: whom they can look after. */
export const tenantsQuery = () =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(TenantList, "/api/tenants", { ofNoTenant: true, query: { limit: 500 }, signal }),
    queryKey: ["tenants"],
    staleTime: 60_000,
  });

/** Who asks, as the tenant that he looks after sees him: it fails when there is none of that name. */
export const actingQuery = (tenant: string | null) =>
  queryOptions({
    enabled: tenant !== null,
    queryFn: ({ signal }) => request(WhoAmI, "/api/whoami", { signal }),
    queryKey: ["whoami", "acting", tenant],
    ...polledSlowly(ACTING_MS),
  });

/** Whose things the page shows: of the key's own tenant, unless an operator has chosen another one. Of others that
 * choice is not read. */
export function useTenant(): { readonly chosen: string | null; readonly own: string | undefined } {
  const { tenant } = useCaller();
  const { data } = useQuery(whoamiQuery());
  const isRead = data !== undefined && mayChooseTenant(data) && tenant !== data.tenant;
  return { chosen: isRead ? tenant : null, own: data?.tenant };
}

/** Of the answers that depend on who asks. */
export const isOfPages = ({ queryKey }: { readonly queryKey: readonly unknown[] }) =>
  queryKey[0] !== "whoami";

export const isSame = (one: WhoAmI, other: WhoAmI) =>
  one.actor === other.actor && one.tenant === other.tenant;

export const mayChooseTenant = (who: WhoAmI) =>
  !asksNobody(who) && reasonAgainst(who, "admin") === null;

/** Whether the server asks nobody who he is. */
export const asksNobody = (who: WhoAmI) => who.key_id === null && who.actor === "anonymous";

/** Why who asks may not do this; null if he may, or if nobody knows yet. The server decides in any case. */
export function useReasonAgainst(scope: Scope): string | null {
  const { data } = useQuery(whoamiQuery());
  return data ? reasonAgainst(data, scope) : null;
}

/** The same for what is of a whole tenant: its keys, its audit log. */
export function useReasonAgainstWhole(): string | null {
  const { data } = useQuery(whoamiQuery());
  return data ? reasonAgainstWhole(data) : null;
}

export function reasonAgainstWhole(who: WhoAmI): string | null {
  const reason = reasonAgainst(who, "manage");
  const isWhole = who.scopes.some(
    ({ scope, topics }) => scope === "admin" || (scope === "manage" && !topics),
  );
  return reason ?? (isWhole ? null : "The key has the right to manage some topics alone.");
}

/** The same for looking at topics and messages. */
export function useReasonAgainstReading(): string | null {
  const { data } = useQuery(whoamiQuery());
  if (!data || reasonAgainst(data, "manage") === null) return null;
  const reason = reasonAgainst(data, "subscribe");
  return reason && "The key has not got the right to subscribe or to manage.";
}

/** The same for looking after nodes, which is everybody's where nobody has to say who he is. */
export function useReasonAgainstNodes(): string | null {
  const health = useQuery(healthQuery());
  const reason = useReasonAgainst("admin");
  return health.data?.auth?.enabled === false ? null : reason;
}

export function reasonAgainst(who: WhoAmI, scope: Scope): string | null {
  const has = who.scopes.some((grant) => grant.scope === scope || grant.scope === "admin");
  return has ? null : `The key has not got the right to ${scope}.`;
}
