// Who asks, and what the server runs on.

import { queryOptions, useQuery } from "@tanstack/react-query";
import { currentSession, setSession, useCaller } from "@/api/caller";
import { request } from "@/api/request";
import { Health, TenantList, WhoAmI } from "@/api/schema";
import { parted } from "@/live/acquaintance";
import { reportServerTime } from "@/live/serverClock";
import { polledSlowly } from "@/services/polled";
import {
  mayChooseTenant,
  reasonAgainst,
  reasonAgainstMany,
  reasonAgainstNodes,
  reasonAgainstReading,
  reasonAgainstSubscribing,
  reasonAgainstWhole,
  type Scope,
} from "@/services/rights";

const WHOAMI_MS = 60_000;
const FIRST_MS = 5_000;
const ACTING_MS = 10_000;

/** Who asks, with the tenant of the key itself, whichever one the page shows. */
export const whoamiQuery = () =>
  queryOptions({
    queryFn: async ({ client, queryKey, signal }) => {
      const askedAt = Date.now();
      const asked = { anySession: true, tenant: null, signal };
      const { now, ...who } = await request(WhoAmI, "/api/whoami", asked);
      if (now) reportServerTime({ answeredAt: Date.now(), askedAt, serverAt: Date.parse(now) });
      const session = who.session?.id ?? null;
      const isNew = session !== currentSession();
      setSession(session);
      const before = client.getQueryData<WhoAmI>(queryKey);
      const isOther = before !== undefined && !isSame(before, who);
      // Somebody else has signed in, here or in another tab, or somebody after nobody: what the page has is not his.
      if (isOther || !before) parted.say();
      if (isOther) {
        void client.resetQueries({ predicate: isOfPages });
      } else if (before && isNew) {
        // What was asked for in between was asked for as of the session before.
        void client.invalidateQueries({ predicate: isOfPages });
      }
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
      request(TenantList, "/api/tenants", { tenant: null, query: { limit: 500 }, signal }),
    queryKey: ["tenants"],
    staleTime: 60_000,
  });

/** Who asks, as the tenant that he looks after sees him: it fails when there is none of that name. */
export const actingQuery = (tenant: string | null) =>
  queryOptions({
    enabled: tenant !== null,
    queryFn: async ({ signal }) => (await request(WhoAmI, "/api/whoami", { signal })).tenant,
    queryKey: ["whoami", "acting", tenant],
    ...polledSlowly(ACTING_MS),
  });

/** Whose things the page shows: of the key's own tenant, unless an operator has chosen one, which may be his own. Of
 * others that choice is not read. */
export function useTenant(): { readonly chosen: string | null; readonly own: string | undefined } {
  const { tenant } = useCaller();
  const { data } = useQuery(whoamiQuery());
  const isRead = data !== undefined && mayChooseTenant(data);
  return { chosen: isRead ? tenant : null, own: data?.tenant };
}

/** The tenant that figures are of; null: of all together, as the server counts for an operator who has chosen none. */
export function useShownTenant(): string | null {
  const { tenant } = useCaller();
  const { data } = useQuery(whoamiQuery());
  const { chosen, own } = useTenant();
  const isOfAll = tenant === null && data !== undefined && mayChooseTenant(data);
  return isOfAll ? null : (chosen ?? own ?? "default");
}

/** Of the answers that depend on who asks. */
export const isOfPages = ({ queryKey }: { readonly queryKey: readonly unknown[] }) =>
  queryKey[0] !== "whoami";

export const isSame = (one: WhoAmI, other: WhoAmI) =>
  one.actor === other.actor && one.tenant === other.tenant;

/** Why who asks may not do what `against` is about; null if he may, or if nobody knows yet who asks. */
function useReason(against: (who: WhoAmI) => string | null): string | null {
  const { data } = useQuery(whoamiQuery());
  return data ? against(data) : null;
}

/** Why who asks may not do this, to the topic or pattern or at all. */
export const useReasonAgainst = (scope: Scope, topic?: string) =>
  useReason((who) => reasonAgainst(who, scope, topic));

/** The same for what is of a whole tenant: its keys, its audit log. */
export const useReasonAgainstWhole = () => useReason(reasonAgainstWhole);

/** The same for many things at once, of one topic or, if none is named, of all. */
export const useReasonAgainstMany = (topic?: string) =>
  useReason((who) => reasonAgainstMany(who, topic));

/** The same for looking at topics and messages. */
export const useReasonAgainstReading = (topic?: string) =>
  useReason((who) => reasonAgainstReading(who, topic));

/** The same for subscribing, by the name of a durable subscription or without one. */
export const useReasonAgainstSubscribing = (topic: string, name: string) =>
  useReason((who) => reasonAgainstSubscribing(who, topic, name));

/** The same for looking after nodes. */
export const useReasonAgainstNodes = () => useReason(reasonAgainstNodes);
