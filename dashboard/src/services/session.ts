// Signing in and out. The key goes to the server once; what comes back is a cookie that no script can read.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { z } from "zod";
import { asApiError } from "@/api/errors";
import { serverUrl } from "@/api/place";
import { request } from "@/api/request";
import { SessionAnswer, type WhoAmI } from "@/api/schema";
import { acquainted } from "@/live/acquaintance";
import { isOfPages, isSame, whoamiQuery } from "@/services/server";

const PATH = "/api/session";

export function signIn(key: string): Promise<SessionAnswer> {
  const body = { path: new URL(serverUrl()).pathname };
  return request(SessionAnswer, PATH, {
    anySession: true,
    body,
    key,
    method: "POST",
    tenant: null,
  });
}

/** Ends with the page as it was, if it is the same one who signs in again; else all is asked for anew, which is seen
 * to by the question who it is. */
export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    gcTime: 0,
    mutationFn: signIn,
    mutationKey: ["session"],
    onSuccess: async () => {
      const before = client.getQueryData<WhoAmI>(whoamiQuery().queryKey);
      const who = await client.fetchQuery({ ...whoamiQuery(), staleTime: 0 });
      acquainted.say();
      if (before && isSame(before, who)) await client.invalidateQueries({ predicate: isOfPages });
    },
  });
}

/** Signs out, or fails: then whoever it is has not signed out. */
export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      try {
        await request(z.undefined(), PATH, { method: "DELETE", tenant: null });
      } catch (error) {
        // It had ended before.
        if (asApiError(error).code !== "unauthenticated") throw error;
      }
    },
    mutationKey: ["session"],
    onSuccess: () => client.resetQueries(),
  });
}
