import { infiniteQueryOptions, queryOptions, useQueryClient } from "@tanstack/react-query";
import { request } from "@/api/request";
import {
  type ChangedKey,
  KeyAnswer,
  KeyCreated,
  KeyList,
  type NewKey,
  type WhoAmI,
} from "@/api/schema";
import { useAct } from "@/services/act";
import { goOn } from "@/services/goingOn";
import { polledSlowly } from "@/services/polled";
import { secretKeeper } from "@/services/secrets";
import { whoamiQuery } from "@/services/server";

const PAGE_COUNT = 100;
const LIST_MS = 10_000;
const NAMES_MS = 60_000;

const at = (id: string) => `/api/keys/${encodeURIComponent(id)}`;

export const keysQuery = () =>
  infiniteQueryOptions({
    getNextPageParam: (page: KeyList) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(KeyList, "/api/keys", { query: { cursor: pageParam, limit: PAGE_COUNT }, signal }),
    queryKey: ["keys", "list"],
    ...polledSlowly(LIST_MS),
  });

/** The first keys of any tenant, for an operator. */
export const keysOfQuery = (tenant: string) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(KeyList, "/api/keys", { query: { limit: PAGE_COUNT }, signal, tenant }),
    queryKey: ["keys", "of", tenant],
    retry: false,
    staleTime: NAMES_MS,
  });

export const keyQuery = (id: string) =>
  queryOptions({
    queryFn: ({ signal }) => request(KeyAnswer, at(id), { signal }),
    queryKey: ["keys", "one", id],
    ...polledSlowly(LIST_MS),
  });

const TOUCHES = { touches: [["keys"]] } as const;
// Whose answers have a secret: they are forgotten with who has asked.
const SECRET = { ...TOUCHES, gcTime: 0 } as const;

export const useCreateKey = () =>
  useAct(async (ask, body: NewKey) => {
    const keep = secretKeeper();
    const made = await ask(KeyCreated, "/api/keys", { body, method: "POST" });
    keep(made);
    return made;
  }, SECRET);

/** Who is signed in with the key goes on with its new secret. */
export function useRotateKey(id: string) {
  const client = useQueryClient();
  return useAct(async (ask, overlap_s: number) => {
    const who = client.getQueryData<WhoAmI>(whoamiQuery().queryKey);
    const rotated = who?.key_id === id ? who.session?.id : undefined;
    const body = { overlap_s };
    const keep = secretKeeper();
    const made = await ask(KeyCreated, `${at(id)}/rotate`, { body, method: "POST" });
    // Before all else: to sign in with it may take long, or fail.
    keep(made);
    if (rotated !== undefined) await goOn({ client, rotated, secret: made.key });
    return made;
  }, SECRET);
}

/** What it gives may be what the page has. */
export const useChangeKey = (id: string) =>
  useAct((ask, body: ChangedKey) => ask(KeyAnswer, at(id), { body, method: "PATCH" }), {
    shows: (answer) => [keyQuery(id).queryKey, answer],
    touches: [["keys"], whoamiQuery().queryKey],
  });

export const useRevokeKey = (id: string) =>
  useAct((ask) => ask(KeyAnswer, at(id), { method: "DELETE" }), TOUCHES);
