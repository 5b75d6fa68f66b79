// Who asks, and what the server runs on.

import { queryOptions, useQuery } from "@tanstack/react-query";
import { setSession } from "@/api/caller";
import { request } from "@/api/request";
import { type Grant, Health, TenantList, WhoAmI } from "@/api/schema";
import { reportServerTime } from "@/live/serverClock";
import { polledSlowly } from "@/services/polled";

type Scope = Grant["scope"];
const WHOAMI_MS = 60_000;

export const whoamiQuery = () =>
  queryOptions({
    queryFn: async ({ client, queryKey, signal }) => {
      const askedAt = Date.now();
      const asked = { anySession: true, signal };
      const { now, ...who } = await request(WhoAmI, "/api/whoami", asked);
      if (now) reportServerTime({ answeredAt: Date.now(), askedAt, serverAt: Date.parse(now) });
      const before = client.getQueryData<WhoAmI>(queryKey);
      setSession(who.session?.id ?? null);
      // Somebody else has signed in, here or in another tab: what the page has is not his.
      if (before && !isSame(before, who)) void client.resetQueries({ predicate: isOfPages });
      return who;
    },
    queryKey: ["whoami"],
    // This is what keeps a session that is used.
    refetchInterval: polledSlowly(WHOAMI_MS).refetchInterval,
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
    queryFn: ({ signal }) => request(TenantList, "/api/tenants", { query: { limit: 500 }, signal }),
    queryKey: ["tenants"],
    staleTime: 60_000,
  });

/** Of the answers that depend on who asks. */
export const isOfPages = ({ queryKey }: { readonly queryKey: readonly unknown[] }) =>
  queryKey[0] !== "whoami";

export const isSame = (one: WhoAmI, other: WhoAmI) =>
  one.actor === other.actor && one.tenant === other.tenant;

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
