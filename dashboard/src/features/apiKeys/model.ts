// What can be said and asked of API keys, in words and as the API takes it.

import type { Grant, KeyAnswer, WhoAmI } from "@/api/schema";
import type { Tone } from "@/components/stateColours";
import { exactly } from "@/components/times";

const HOUR_S = 3_600;
const DAY_S = 86_400;
// What ends within this time is pointed out.
const SOON_MS = 7 * DAY_S * 1_000;
const PATTERNS_MAX_COUNT = 64;
export const NAME_MAX_CHARS = 100;

export type Scope = Grant["scope"];

export const SCOPES: readonly { readonly about: string; readonly scope: Scope }[] = [
  { about: "Publish messages", scope: "publish" },
  { about: "Subscribe, acknowledge, look at topics and messages", scope: "subscribe" },
  {
    about: "Topics, subscriptions, dead letters; without patterns keys and the audit log too",
    scope: "manage",
  },
  { about: "Everything, in every tenant", scope: "admin" },
];

export const ENDS: readonly { readonly label: string; readonly ttl_s: number | null }[] = [
  { label: "when it is revoked", ttl_s: null },
  { label: "in an hour", ttl_s: HOUR_S },
  { label: "in a day", ttl_s: DAY_S },
  { label: "in 7 days", ttl_s: 7 * DAY_S },
  { label: "in 30 days", ttl_s: 30 * DAY_S },
  { label: "in 90 days", ttl_s: 90 * DAY_S },
  { label: "in a year", ttl_s: 365 * DAY_S },
];

export const OVERLAPS: readonly { readonly label: string; readonly overlap_s: number }[] = [
  { label: "a day more", overlap_s: DAY_S },
  { label: "not any more", overlap_s: 0 },
  { label: "an hour more", overlap_s: HOUR_S },
  { label: "7 days more", overlap_s: 7 * DAY_S },
  { label: "30 days more", overlap_s: 30 * DAY_S },
];

export interface KeyState {
  readonly about: string;
  readonly isGood: boolean;
  readonly label: string;
  readonly tone: Tone;
}

export function stateOf(key: KeyAnswer, now: number): KeyState {
  const { expires_at, revoked_at, rotating_until } = key;
  if (revoked_at !== null) {
    return {
      about: "Requests with it are refused.",
      isGood: false,
      label: "revoked",
      tone: "idle",
    };
  }
  const left = expires_at === null ? null : Date.parse(expires_at) - now;
  if (left !== null && left <= 0) {
    return { about: "Its end has come.", isGood: false, label: "expired", tone: "idle" };
  }
  if (rotating_until !== null && Date.parse(rotating_until) > now) {
    const about = "Two secrets are good: the new one, and the one before until the overlap ends.";
    return { about, isGood: true, label: "rotating", tone: "info" };
  }
  if (left !== null && left < SOON_MS) {
    return {
      about: "It ends within a week.",
      isGood: true,
      label: "active, ends soon",
      tone: "warn",
    };
  }
  return { about: "Requests with it are accepted.", isGood: true, label: "active", tone: "ok" };
}

/** What there is to say of its end, each with its name. */
export function endsOf(key: KeyAnswer, now: number): (readonly [string, string])[] {
  const { expires_at, revoked_at, rotating_until } = key;
  if (revoked_at !== null) return [["Revoked", exactly(revoked_at)]];
  if (expires_at !== null && Date.parse(expires_at) <= now) return [["Ended", exactly(expires_at)]];
  const isRotating = rotating_until !== null && Date.parse(rotating_until) > now;
  return [
    ["Ends", expires_at === null ? "when it is revoked" : exactly(expires_at)],
    ...(isRotating ? [["Old secret until", exactly(rotating_until)] as const] : []),
  ];
}

export interface ScopeChoice {
  readonly isChosen: boolean;
  readonly subscriptions: string;
  readonly topics: string;
}

export type ScopeChoices = Readonly<Record<Scope, ScopeChoice>>;

const NOT_CHOSEN: ScopeChoice = { isChosen: false, subscriptions: "", topics: "" };
export const NOTHING_CHOSEN: ScopeChoices = {
  admin: NOT_CHOSEN,
  manage: NOT_CHOSEN,
  publish: NOT_CHOSEN,
  subscribe: NOT_CHOSEN,
};

/** Patterns as they are typed: between them commas, blanks or lines. */
export function patterns(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((each) => each !== ""))];
}

export function grantsOf(choices: ScopeChoices): Grant[] {
  return SCOPES.flatMap(({ scope }) => {
    const { isChosen, subscriptions, topics } = choices[scope];
    if (!isChosen) return [];
    const of = scope === "admin" ? [] : patterns(topics);
    const by = scope === "subscribe" ? patterns(subscriptions) : [];
    return [
      {
        scope,
        ...(of.length > 0 && { topics: of }),
        ...(by.length > 0 && { subscriptions: by }),
      },
    ];
  });
}

export function scopesProblem(choices: ScopeChoices): string | null {
  const grants = grantsOf(choices);
  if (grants.length === 0) return "Choose at least one right.";
  const total = grants
    .map(({ subscriptions, topics }) => (topics?.length ?? 0) + (subscriptions?.length ?? 0))
    .reduce((sum, each) => sum + each, 0);
  if (total > PATTERNS_MAX_COUNT) return `A key has at most ${PATTERNS_MAX_COUNT} patterns.`;
  return null;
}

/** Why who asks cannot give this right; null if he can. For which topics the server decides. */
export function reasonAgainstGiving(who: WhoAmI, scope: Scope): string | null {
  const has = who.scopes.some((grant) => grant.scope === scope || grant.scope === "admin");
  return has ? null : `You have not got ${scope} yourself, and give only what you have.`;
}

/** What ends with a key, and what goes on. */
export function consequences(key: KeyAnswer, isOwn: boolean): string[] {
  return [
    "It is refused at once here, and within two seconds on other nodes. Nothing brings it back.",
    "WebSockets that were opened with it are closed, with code 4501.",
    "Tokens that were made of it, and sessions of this dashboard, end with it.",
    key.last_used_at === null
      ? "No use of it is known; one of the last minute may not be."
      : "What still uses it stops working.",
    ...(isOwn ? ["You are signed in with it: this page will ask you for another key."] : []),
  ];
}
