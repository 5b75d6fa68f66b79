import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { AuditAnswer } from "@/api/schema";
import { tenantsToAsk } from "@/features/audit/model";
import { keysOfQuery, keysQuery } from "@/services/apiKeys";
import { asksNobody, reasonAgainst, reasonAgainstWhole } from "@/services/rights";
import { tenantsQuery, useTenant, whoamiQuery } from "@/services/server";

export type KeyNames = ReadonlyMap<string, string>;

interface Known {
  /** Of whose keys entries are shown, too. */
  readonly learn: (entries: readonly AuditAnswer[]) => void;
  readonly names: KeyNames;
}

/** What keys are called, by their ids: those of the tenant, as far as its list goes, and the caller's own; for an
 * operator also those of the tenants that entries are of, as far as the first page of each goes. */
export function useKeyNames(): Known {
  const { data: who } = useQuery(whoamiQuery());
  const { chosen, own } = useTenant();
  const enabled = who !== undefined && !asksNobody(who) && reasonAgainstWhole(who) === null;
  const keys = useInfiniteQuery({ ...keysQuery(), enabled });
  const isOperator = enabled && reasonAgainst(who, "admin") === null;
  const tenants = useQuery({ ...tenantsQuery(), enabled: isOperator });
  const [asked, setAsked] = useState<readonly string[]>([]);
  const others = useQueries({
    // An operator's own key may have acted in the tenant that he looks after.
    queries: (chosen === null
      ? asked
      : [own ?? ""].filter((name) => name !== "" && name !== chosen)
    ).map(keysOfQuery),
  });
  const all = [
    ...others.flatMap(({ data }) => data?.keys ?? []),
    ...(keys.data?.pages.flatMap((page) => page.keys) ?? []),
  ];
  const names = new Map([
    ...(who?.key_id && who.key_name ? [[who.key_id, who.key_name] as const] : []),
    ...all.map(({ id, name }) => [id, name] as const),
  ]);
  const learn = (entries: readonly AuditAnswer[]) => {
    if (chosen !== null || !isOperator) return;
    const there = tenants.data?.tenants.map(({ name }) => name) ?? [];
    const next = tenantsToAsk(entries, names, there, asked);
    if (next.length > 0) setAsked([...asked, ...next]);
  };
  return { learn, names };
}
