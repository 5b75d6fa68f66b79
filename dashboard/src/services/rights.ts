// What a key may do, as far as its grants say it. The server decides in any case.

import type { Grant, WhoAmI } from "@/api/schema";
import { covers } from "@/services/covers";

export type Scope = Grant["scope"];

// Of a grant so many are told.
const PATTERNS_TOLD_COUNT = 3;

/** Whether the server asks nobody who he is. */
export const asksNobody = (who: WhoAmI) => who.key_id === null && who.actor === "anonymous";

/** Whether the tenant that a link names is the one that is shown: of other keys the server does not read it. */
export const mayChooseTenant = (who: WhoAmI) =>
  !asksNobody(who) && reasonAgainst(who, "admin") === null;

/** Why it may not do this to the topic, or to all topics of a pattern; of none: at all. Null if it may. */
export function reasonAgainst(who: WhoAmI, scope: Scope, topic = ""): string | null {
  const own = grants(who, scope);
  if (own.length === 0) return `The key has no scope ${scope}.`;
  if (topic === "" || own.some((grant) => isOf(grant, topic))) return null;
  return `The key has the scope ${scope} for ${told(own)} alone, and not for ${topic}.`;
}

/** The same for what is of a whole tenant: its keys, its audit log. */
export function reasonAgainstWhole(who: WhoAmI): string | null {
  return reasonAgainst(who, "manage") ?? (isWhole(who) ? null : `${neededForAll(who)}.`);
}

/** The same for many things at once, of one topic or, if none is named, of all. */
export function reasonAgainstMany(who: WhoAmI, topic = ""): string | null {
  const reason = reasonAgainst(who, "manage", topic);
  if (reason !== null || topic !== "" || isWhole(who)) return reason;
  return `${neededForAll(who)}: filter by one of its topics first.`;
}

/** The same for looking at topics and messages. */
export function reasonAgainstReading(who: WhoAmI, topic = ""): string | null {
  const own = [...grants(who, "manage"), ...grants(who, "subscribe")];
  if (own.length === 0) return "The key has neither the scope subscribe nor manage.";
  if (topic === "" || own.some((grant) => isOf(grant, topic))) return null;
  return `The key may read ${told(own)} alone, and not ${topic}.`;
}

/** The same for subscribing, by the name of a durable subscription or without one. */
export function reasonAgainstSubscribing(who: WhoAmI, topic: string, name: string): string | null {
  const reason = reasonAgainst(who, "subscribe", topic);
  if (reason !== null || name === "") return reason;
  const own = grants(who, "subscribe").filter((grant) => isOf(grant, topic));
  return own.some(({ subscriptions }) => isAmong(subscriptions, name))
    ? null
    : `The key may not use the durable subscription ${name} for ${topic}.`;
}

/** The same for looking after nodes, which is everybody's where nobody has to say who he is. */
export function reasonAgainstNodes(who: WhoAmI): string | null {
  return asksNobody(who) ? null : reasonAgainst(who, "admin");
}

/** Of which topics alone it is told what happens, in words; null: of all. */
export function readTopics(who: WhoAmI): string | null {
  return patternsOf([...grants(who, "manage"), ...grants(who, "subscribe")]);
}

/** The same of those that it looks after. */
export const managedTopics = (who: WhoAmI) => patternsOf(grants(who, "manage"));

function patternsOf(own: readonly Grant[]): string | null {
  return own.length === 0 || own.some(({ topics }) => !topics) ? null : told(own);
}

function grants({ scopes }: WhoAmI, wanted: Scope): Grant[] {
  return scopes.filter(({ scope }) => scope === wanted || scope === "admin");
}

function isWhole(who: WhoAmI): boolean {
  return grants(who, "manage").some(({ topics }) => !topics);
}

/** Of who looks after some topics alone. */
function neededForAll(who: WhoAmI): string {
  const own = told(grants(who, "manage"));
  return `The scope manage for all topics is needed. The key has it only for ${own}`;
}

function isOf({ topics }: Grant, topic: string): boolean {
  return isAmong(topics, topic);
}

function isAmong(patterns: readonly string[] | null | undefined, name: string): boolean {
  return !patterns || patterns.some((pattern) => covers(pattern, name));
}

function told(own: readonly Grant[]): string {
  const patterns = [...new Set(own.flatMap(({ topics }) => topics ?? []))];
  const more = patterns.length - PATTERNS_TOLD_COUNT;
  const first = patterns.slice(0, PATTERNS_TOLD_COUNT).join(", ");
  return more > 0 ? `${first} and ${more} more` : first;
}
