import { infiniteQueryOptions, queryOptions, useQueryClient } from "@tanstack/react-query";
import { setSession } from "@/api/caller";
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
import { polledSlowly } from "@/services/polled";
import { keepSecret } from "@/services/secrets";
import { isOfPages, whoamiQuery } from "@/services/server";
import { signIn } from "@/services/session";

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
    const made = await ask(KeyCreated, "/api/keys", { body, method: "POST" });
    keepSecret(made);
    return made;
  }, SECRET);

const AGAIN_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/** Waits for the first try; if that fails, others follow. */
async function orLater(does: () => Promise<void>, waits: readonly number[] = AGAIN_MS) {
  await does().catch(() => {
    const [ms, ...rest] = waits;
    if (ms !== undefined) setTimeout(() => void orLater(does, rest), ms);
  });
}

/** Who is signed in with the key goes on with its new secret: the session of the one before has ended. */
export function useRotateKey(id: string) {
  const client = useQueryClient();
  const goOn = async (secret: string) => {
    setSession((await signIn(secret)).id);
    // What was asked for in between was asked for as of the session before.
    void client.invalidateQueries({ predicate: isOfPages });
    void client.invalidateQueries({ queryKey: whoamiQuery().queryKey });
  };
  return useAct(async (ask, overlap_s: number) => {
    const body = { overlap_s };
    const made = await ask(KeyCreated, `${at(id)}/rotate`, { body, method: "POST" });
    // Before all else: to sign in with it may take long, or fail.
    keepSecret(made);
    const who = client.getQueryData<WhoAmI>(whoamiQuery().queryKey);
    if (who?.key_id === id && who.session) await orLater(() => goOn(made.key));
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
