// Entries of the audit log in words.

import type { AuditAnswer } from "@/api/schema";

const HOUR_MS = 3_600_000;

export const SINCE = [
  { label: "All that is kept", ms: null, since: "all" },
  { label: "The last hour", ms: HOUR_MS, since: "1h" },
  { label: "The last day", ms: 24 * HOUR_MS, since: "1d" },
  { label: "The last 7 days", ms: 7 * 24 * HOUR_MS, since: "7d" },
] as const;

export type Since = (typeof SINCE)[number]["since"];

export function fromTimeOf(since: Since, now: number): string | null {
  const ms = SINCE.find((each) => each.since === since)?.ms ?? null;
  return ms === null ? null : new Date(now - ms).toISOString();
}

const WORDS: Readonly<Record<string, string>> = {
  cancel: "cancelled",
  change: "changed",
  create: "created",
  delete: "deleted",
  discard: "discarded",
  pause: "paused",
  purge: "purged",
  redrive: "redrove",
  resume: "resumed",
  revoke: "revoked",
  rotate: "rotated",
  seek: "seeked",
};
const WHOLE: Readonly<Record<string, string>> = {
  "session.begin": "signed in to the dashboard",
  "session.end": "signed out of the dashboard",
  "sign_in.fail": "failed to sign in",
};

/** `key.revoke` as `revoked key`; what has no word for it stays as it is. */
export function said(action: string): string {
  const whole = WHOLE[action];
  if (whole !== undefined) return whole;
  const [what = "", act = ""] = action.split(".");
  const word = WORDS[act];
  return word === undefined ? action : `${word} ${what.replaceAll("_", " ")}`;
}

// Those that can be in the log.
const ACTIONS = [
  "dead_letter.discard",
  "dead_letter.redrive",
  "job.cancel",
  "key.change",
  "key.create",
  "key.revoke",
  "key.rotate",
  "node.drain",
  "node.undrain",
  "session.begin",
  "session.end",
  "sign_in.fail",
  "subscription.change",
  "subscription.delete",
  "subscription.pause",
  "subscription.resume",
  "subscription.seek",
  "tenant.change",
  "tenant.create",
  "tenant.delete",
  "topic.change",
  "topic.delete",
  "topic.purge",
] as const;

/** What was typed as the API takes it: an action, or its words as the list shows them. */
export function actionOf(typed: string): string {
  const text = typed.trim();
  return ACTIONS.find((action) => said(action) === text.toLowerCase()) ?? text;
}

/** The same of who it was: by the name of a key, or its id, as the list shows them. */
export function actorOf(typed: string, names: ReadonlyMap<string, string>): string {
  const text = typed.trim();
  if (names.has(text)) return `key:${text}`;
  const [id] = [...names].find(([, name]) => name === text) ?? [];
  return id === undefined ? text : `key:${id}`;
}

/** What the key of an actor is called, if that is known. */
export function keyName(actor: string, names: ReadonlyMap<string, string>): string | null {
  return actor.startsWith("key:") ? (names.get(actor.slice("key:".length)) ?? null) : null;
}

// Each is a question of its own.
const TENANTS_MAX_COUNT = 50;

/** The tenants of entries by keys whose names are not known: of those that are there, and were not asked yet. */
export function tenantsToAsk(
  entries: readonly Pick<AuditAnswer, "actor" | "tenant">[],
  names: ReadonlyMap<string, string>,
  there: readonly string[],
  asked: readonly string[],
): string[] {
  const nameless = entries.filter(
    ({ actor }) => actor.startsWith("key:") && keyName(actor, names) === null,
  );
  const wanted = new Set(nameless.map(({ tenant }) => tenant));
  const next = there.filter((tenant) => wanted.has(tenant) && !asked.includes(tenant));
  return next.slice(0, TENANTS_MAX_COUNT - asked.length);
}

/** How often it was, where several are told of in one entry. */
export function times({ detail }: AuditAnswer): number | null {
  const value = detail.count ?? detail.times;
  return typeof value === "number" && value > 1 ? value : null;
}
