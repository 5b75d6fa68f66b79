// Who has signed in and what for, in words.

import type { ApiError } from "@/api/errors";
import type { Grant, WhoAmI } from "@/api/schema";
import { foreign } from "@/components/foreign";
import { NOT_KEPT } from "@/services/session";

/** Why signing in failed, for who has typed the key. */
export function whyNot({ code, message, retryAfterS }: ApiError, key: string): string {
  if (code === "unauthenticated") {
    const form = key.startsWith("ck_")
      ? ""
      : " Keys that this server makes begin with ck_live_; a DEFAULT_API_KEY can be anything.";
    return `This key is wrong, or it was revoked or has expired.${form}`;
  }
  if (code === "forbidden") return `This key cannot sign in: ${foreign(message)}.`;
  if (code === NOT_KEPT) {
    return `The key is good, but its session does not count: ${foreign(message)}. The browser may keep no cookies of this address.`;
  }
  const again = retryAfterS === null ? "" : ` Try again in ${retryAfterS} s.`;
  return `The key could not be checked: ${foreign(message)}.${again}`;
}

/** Why a session is over, as far as the page can know. */
export function whyOver({ expires_at }: Pick<WhoAmI, "expires_at">, now: number): string {
  if (expires_at !== null && Date.parse(expires_at) <= now) {
    return "It has reached its end.";
  }
  return "Its key was revoked, rotated or changed, somebody signed out, or it was not used for long.";
}

// Where `make run` serves unless it is told otherwise.
const PORT = "8080";

/** Starts the server of this address with authentication, in a checkout. Below a path it is behind a proxy, whose port
 * is not the server's. */
export function startWithKeys(url: string): string {
  const { pathname, port } = new URL(url);
  const at = port === "" || port === PORT || pathname !== "/" ? "" : `PORT=${port} `;
  return `${at}ENABLE_AUTH=true make run`;
}

export function grantText({ scope, subscriptions, topics }: Grant): string {
  const of = topics ? ` ${topics.join(", ")}` : "";
  const by = subscriptions ? `, as ${subscriptions.join(", ") || "no durable subscription"}` : "";
  return `${scope}${of}${by}`;
}

/** By what people know who it is, for a sentence. */
export function nameOf({ actor, key_name }: Pick<WhoAmI, "actor" | "key_name">): string {
  return foreign(key_name ?? actor.replace("default_api_key", "DEFAULT_API_KEY"));
}

export function isOwnKey(who: WhoAmI | undefined, keyId: string): boolean {
  return who?.key_id === keyId;
}
