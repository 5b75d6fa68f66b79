import {
  infiniteQueryOptions,
  queryOptions,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { request } from "@/api/request";
import {
  type ChangedKey,
  KeyAnswer,
  KeyCreated,
  KeyList,
  type NewKey,
  type WhoAmI,
} from "@/api/schema";
import { polledSlowly } from "@/services/polled";
import { whoamiQuery } from "@/services/server";
import { signIn } from "@/services/session";

const PAGE_COUNT = 100;
const LIST_MS = 10_000;

const at = (id: string) => `/api/keys/${encodeURIComponent(id)}`;

export const keysQuery = () =>
  infiniteQueryOptions({
    getNextPageParam: (page: KeyList) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(KeyList, "/api/keys", { query: { cursor: pageParam, limit: PAGE_COUNT }, signal }),
    queryKey: ["keys", "list"],
    refetchInterval: polledSlowly(LIST_MS).refetchInterval,
  });

export const keyQuery = (id: string) =>
  queryOptions({
    queryFn: ({ signal }) => request(KeyAnswer, at(id), { signal }),
    queryKey: ["keys", "one", id],
    refetchInterval: polledSlowly(LIST_MS).refetchInterval,
  });

// Whose answers have a secret: they are forgotten with who has asked.
const FORGOTTEN = { gcTime: 0 } as const;

export function useCreateKey() {
  const client = useQueryClient();
  return useMutation({
    ...FORGOTTEN,
    mutationFn: (body: NewKey) => request(KeyCreated, "/api/keys", { body, method: "POST" }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["keys"] }),
  });
}

/** Who is signed in with the key goes on with its new secret: the session of the one before has ended. */
export function useRotateKey(id: string) {
  const client = useQueryClient();
  return useMutation({
    ...FORGOTTEN,
    mutationFn: async (overlap_s: number) => {
      const body = { overlap_s };
      const made = await request(KeyCreated, `${at(id)}/rotate`, { body, method: "POST" });
      const who = client.getQueryData<WhoAmI>(whoamiQuery().queryKey);
      if (who?.key_id === id && who.session) await signIn(made.key).catch(() => undefined);
      return made;
    },
    onSuccess: () => client.invalidateQueries({ queryKey: ["keys"] }),
  });
}

export function useChangeKey(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: ChangedKey) => request(KeyAnswer, at(id), { body, method: "PATCH" }),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["keys"] });
      // What it gives may be what the page has.
      void client.invalidateQueries({ queryKey: whoamiQuery().queryKey });
    },
  });
}

export function useRevokeKey(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => request(KeyAnswer, at(id), { method: "DELETE" }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["keys"] }),
  });
}
