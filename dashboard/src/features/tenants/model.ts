// What a tenant may use, and what it uses of it.

import type { LimitsChange, TenantAnswer, TenantLimits, Usage } from "@/api/schema";
import { bytes, count, counted } from "@/components/format";
import type { Tone } from "@/components/stateColours";

const NEAR_SHARE = 0.75;
const FULL_SHARE = 0.95;
const NAME = /^[a-z0-9_-]{1,63}$/;
// As the server's.
const BOUND_MAX = 2n ** 53n;

export interface LimitKind {
  readonly label: string;
  readonly limit: keyof TenantLimits;
  readonly shown: (value: number) => string;
  /** What of the usage it bounds; null for rates and sizes, of which nothing adds up. */
  readonly usage: keyof Usage | null;
}

const perSecond = (value: number) => `${count(value)} / s`;
const bytesPerSecond = (value: number) => `${bytes(value)} / s`;

export const LIMITS: readonly LimitKind[] = [
  { label: "Topics", limit: "topics", shown: count, usage: "topics" },
  { label: "Subscriptions", limit: "subscriptions", shown: count, usage: "subscriptions" },
  { label: "Connections", limit: "connections", shown: count, usage: "connections" },
  { label: "Stored bytes", limit: "stored_bytes", shown: bytes, usage: "stored_bytes" },
  {
    label: "Dead letters, redriven ones too",
    limit: "dead_letters",
    shown: count,
    usage: "dead_letters",
  },
  { label: "Waiting retries", limit: "pending_retries", shown: count, usage: "pending_retries" },
  { label: "Publishes", limit: "publishes_per_s", shown: perSecond, usage: null },
  { label: "Published bytes", limit: "publish_bytes_per_s", shown: bytesPerSecond, usage: null },
  { label: "Deliveries", limit: "deliveries_per_s", shown: perSecond, usage: null },
  { label: "Bytes of a message", limit: "message_bytes", shown: bytes, usage: null },
];

export interface Share {
  readonly bound: number | null;
  readonly kind: LimitKind;
  /** 0 to 1 and, if a limit was lowered since, more; null without a limit. */
  readonly share: number | null;
  readonly used: number;
}

export function shares({ limits, usage }: TenantAnswer): Share[] {
  return LIMITS.flatMap((kind): Share[] => {
    if (kind.usage === null) return [];
    const used = usage[kind.usage];
    const bound = limits[kind.limit] ?? null;
    if (bound === null) return [{ bound, kind, share: null, used }];
    return [{ bound, kind, share: bound === 0 ? (used > 0 ? 2 : 0) : used / bound, used }];
  });
}

/** The one that is nearest to its bound; null if there is no bound. */
export function fullest(tenant: TenantAnswer): Share | null {
  const bounded = shares(tenant).filter(({ share }) => share !== null);
  return bounded.sort((one, other) => (other.share ?? 0) - (one.share ?? 0))[0] ?? null;
}

export function toneOfShare(share: number): Tone {
  if (share >= FULL_SHARE) return "bad";
  return share >= NEAR_SHARE ? "warn" : "ok";
}

/** The bounds that are set, in words. */
export function limitTexts(limits: TenantLimits): string[] {
  return LIMITS.flatMap(({ label, limit, shown }) => {
    const bound = limits[limit];
    return bound === null || bound === undefined ? [] : [`${label}: ${shown(bound)}`];
  });
}

export type LimitFields = Readonly<Record<keyof TenantLimits, string>>;

export function fieldsOf(limits: TenantLimits): LimitFields {
  const texts = LIMITS.map(({ limit }) => [limit, String(limits[limit] ?? "")] as const);
  return Object.fromEntries(texts) as LimitFields;
}

export function limitProblem(text: string): string | null {
  if (/^\d*$/.test(text.trim())) {
    return BigInt(text) <= BOUND_MAX ? null : "That is more than a limit can be.";
  }
  return "A whole number, or nothing for no limit.";
}

/** Limits that somebody else has changed, each with what it is now. */
export function overtakenLimits(
  limits: readonly (keyof TenantLimits)[],
  there: LimitFields,
): string[] {
  const found = LIMITS.filter(({ limit }) => limits.includes(limit));
  return found.map(({ label, limit }) => `${label}, now ${there[limit] || "no limit"}`);
}

/** What differs, as the API takes it; null if something is no number. */
export function limitsChange(fields: LimitFields, before: TenantLimits): LimitsChange | null {
  const change: Record<string, number | null> = {};
  for (const { limit } of LIMITS) {
    const text = fields[limit].trim();
    // What nobody has typed is understood, whatever it is.
    if (text === String(before[limit] ?? "")) continue;
    if (limitProblem(text) !== null) return null;
    const bound = text === "" ? null : Number(text);
    if (bound !== (before[limit] ?? null)) change[limit] = bound;
  }
  return change;
}

export function tenantNameProblem(name: string): string | null {
  return NAME.test(name) ? null : "1 to 63 characters of a–z, 0–9, _ and -.";
}

/** Why the tenant cannot be deleted now; null if it can. */
export function reasonAgainstDeleting({ name, usage }: TenantAnswer): string | null {
  if (name === "default") return "The tenant default is there always.";
  const { subscriptions, topics } = usage;
  if (topics === 0 && subscriptions === 0) return null;
  return `It has ${counted(topics, "topic")} and ${counted(subscriptions, "subscription")}: delete them first.`;
}
