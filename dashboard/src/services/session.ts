// Signing in and out. The key goes to the server once; what comes back is a cookie that no script can read.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { z } from "zod";
import { setSession } from "@/api/caller";
import { ApiError, asApiError } from "@/api/errors";
import { serverUrl } from "@/api/place";
import { request } from "@/api/request";
import { SessionAnswer } from "@/api/schema";
import { parted } from "@/live/acquaintance";
import { whoamiQuery } from "@/services/server";
import { saySignedOut, saySigning } from "@/services/signing";

const PATH = "/api/session";
/** The code of a sign-in that the server has allowed, and whose session counts for nothing all the same. */
export const NOT_KEPT = "session_not_kept";

export function signIn(key: string, signal?: AbortSignal): Promise<SessionAnswer> {
  const body = { path: new URL(serverUrl()).pathname };
  return request(SessionAnswer, PATH, {
    anySession: true,
    body,
    key,
    method: "POST",
    signal,
    tenant: null,
  });
}

/** Ends with the page as it was, if it is the same one who signs in again; else all is asked for anew, which is seen
 * to by the question who it is. */
export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    gcTime: 0,
    mutationFn: (key: string) => {
      saySigning();
      return signIn(key);
    },
    mutationKey: ["session"],
    onSuccess: async () => {
      const asked = whoamiQuery();
      // What was asked before is answered of the session before.
      await client.cancelQueries({ exact: true, queryKey: asked.queryKey });
      await client.fetchQuery({ ...asked, staleTime: 0 }).catch(checkKept);
    },
  });
}

/** He has signed in, whatever becomes of the question who he is, which is asked again where it is shown. Only if he is
 * nobody all the same, it was of no use. */
function checkKept(error: unknown): void {
  const { code, message } = asApiError(error);
  if (code === "unauthenticated") throw new ApiError(0, NOT_KEPT, message);
}

/** Signs out, or fails: then whoever it is has not signed out. */
export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      saySigning();
      try {
        await request(z.undefined(), PATH, { method: "DELETE", tenant: null });
      } catch (error) {
        // It had ended before.
        if (asApiError(error).code !== "unauthenticated") throw error;
      }
    },
    mutationKey: ["session"],
    onSuccess: () => {
      setSession(null);
      parted.say();
      saySignedOut();
      return client.resetQueries();
    },
  });
}
