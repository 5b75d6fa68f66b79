// Who has rotated the key that he is signed in with goes on with its new secret: the session of the one before has
// ended. Never in the place of somebody else who has signed in since, nor of nobody.

import type { QueryClient } from "@tanstack/react-query";
import { currentSession, setSession } from "@/api/caller";
import { type ApiError, asApiError } from "@/api/errors";
import { request } from "@/api/request";
import { WhoAmI } from "@/api/schema";
import { isOfPages, whoamiQuery } from "@/services/server";
import { signIn } from "@/services/session";
import { onSigning } from "@/services/signing";

const AGAIN_MS: readonly number[] = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

export interface Going {
  readonly client: QueryClient;
  /** The id of the session whose key was rotated. */
  readonly rotated: string;
  readonly secret: string;
}

export type Next = "again" | "give up" | "sign in";

/** What is to be done when this is what the server says of the session that the browser has. */
export function nextOf(found: WhoAmI | ApiError, rotated: string): Next {
  if (!(found instanceof Error)) return found.session?.id === rotated ? "sign in" : "give up";
  if (found.code === "unauthenticated") return "sign in";
  return mayPass(found) ? "again" : "give up";
}

/** Whether what has failed so may succeed later; a server that has refused it goes on to. */
export const mayPass = ({ isTransient, status }: ApiError) => isTransient || status >= 500;

/** Ends after the first try; if that fails, others follow, until somebody signs in or out by hand. */
export async function goOn(going: Going): Promise<void> {
  const stopped = new AbortController();
  const unhear = onSigning(() => stopped.abort());
  const from = async ([ms, ...rest]: readonly number[]): Promise<void> => {
    const isDone = await tried(going, stopped.signal);
    if (isDone || ms === undefined || stopped.signal.aborted) unhear();
    else setTimeout(() => void from(rest), ms);
  };
  await from(AGAIN_MS);
}

/** Whether there is nothing more to try. */
async function tried({ client, rotated, secret }: Going, signal: AbortSignal): Promise<boolean> {
  const isOver = () => signal.aborted || currentSession() !== rotated;
  const whose = () => request(WhoAmI, "/api/whoami", { anySession: true, signal, tenant: null });
  const look = () => void client.invalidateQueries({ queryKey: whoamiQuery().queryKey });
  if (isOver()) return true;
  const next = nextOf(await whose().catch(asApiError), rotated);
  if (isOver()) return true;
  if (next === "sign in") {
    try {
      const { id } = await signIn(secret, signal);
      if (isOver()) return true;
      setSession(id);
    } catch (error) {
      return isOver() || !mayPass(asApiError(error));
    }
    // What was asked for in between was asked for as of the session before.
    void client.invalidateQueries({ predicate: isOfPages });
  }
  if (next !== "again") look();
  return next !== "again";
}
