// Signing in and out. The key goes to the server once; what comes back is a cookie that no script can read.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { z } from "zod";
import { serverUrl } from "@/api/place";
import { request } from "@/api/request";
import { SessionAnswer, type WhoAmI } from "@/api/schema";
import { acquainted } from "@/live/acquaintance";
import { whoamiQuery } from "@/services/server";

const PATH = "/api/session";

export function signIn(key: string): Promise<SessionAnswer> {
  const body = { path: new URL(serverUrl()).pathname };
  return request(SessionAnswer, PATH, { body, key, method: "POST" });
}

/** Ends with the page as it was, if it is the same one who signs in again; else all is asked for anew. */
export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    gcTime: 0,
    mutationFn: signIn,
    mutationKey: ["session"],
    onSuccess: async () => {
      const before = client.getQueryData<WhoAmI>(whoamiQuery().queryKey);
      const who = await client.fetchQuery({ ...whoamiQuery(), staleTime: 0 });
      const isSame = before?.actor === who.actor && before.tenant === who.tenant;
      const all = { predicate: isOfPages };
      acquainted.say();
      await (isSame ? client.invalidateQueries(all) : client.resetQueries(all));
    },
  });
}

export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => request(z.undefined(), PATH, { method: "DELETE" }),
    mutationKey: ["session"],
    // Also if it failed: it may be that the session had ended before.
    onSettled: () => client.resetQueries(),
  });
}

const isOfPages = ({ queryKey }: { readonly queryKey: readonly unknown[] }) =>
  queryKey[0] !== "whoami";
