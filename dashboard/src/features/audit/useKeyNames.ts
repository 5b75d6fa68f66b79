import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { keysQuery } from "@/services/apiKeys";
import { asksNobody, reasonAgainstWhole } from "@/services/rights";
import { whoamiQuery } from "@/services/server";

export type KeyNames = ReadonlyMap<string, string>;

/** What keys are called, by their ids: those of the tenant, as far as its list goes, and the caller's own. */
export function useKeyNames(): KeyNames {
  const { data: who } = useQuery(whoamiQuery());
  const enabled = who !== undefined && !asksNobody(who) && reasonAgainstWhole(who) === null;
  const keys = useInfiniteQuery({ ...keysQuery(), enabled });
  const all = keys.data?.pages.flatMap((page) => page.keys) ?? [];
  return new Map([
    ...(who?.key_id && who.key_name ? [[who.key_id, who.key_name] as const] : []),
    ...all.map(({ id, name }) => [id, name] as const),
  ]);
}
