// A key that is made or edited: its fields as they are typed, and what the API is asked for.

import type { ChangedKey, Grant, KeyAnswer, NewKey, TenantLimits } from "@/api/schema";
import {
  ENDS,
  grantsOf,
  NOTHING_CHOSEN,
  type ScopeChoices,
  scopesProblem,
} from "@/features/apiKeys/model";
import { fieldsOf, type LimitFields, limitsChange } from "@/features/tenants/model";

/** The limits that a key can have of its own. */
export const KEY_LIMITS: readonly (keyof TenantLimits)[] = [
  "connections",
  "publishes_per_s",
  "publish_bytes_per_s",
  "message_bytes",
];

export interface KeyFields {
  /** Null: the rights are of a kind that the fields cannot show, and stay. */
  readonly choices: ScopeChoices | null;
  /** Of `ENDS`; null: as it is. */
  readonly end: number | null;
  readonly limits: LimitFields;
  readonly name: string;
}

export const keyFieldsOf = (key: KeyAnswer): KeyFields => ({
  choices: choicesOf(key.scopes),
  end: null,
  limits: fieldsOf(key.limits),
  name: key.name,
});

/** The rights as fields; null if one is there more than once, which no field can say. */
export function choicesOf(grants: readonly Grant[]): ScopeChoices | null {
  if (new Set(grants.map(({ scope }) => scope)).size < grants.length) return null;
  const chosen = grants.map(({ scope, subscriptions, topics }) => [
    scope,
    {
      isChosen: true,
      subscriptions: (subscriptions ?? []).join(" "),
      topics: (topics ?? []).join(" "),
    },
  ]);
  return { ...NOTHING_CHOSEN, ...Object.fromEntries(chosen) };
}

/** A key to be made; null if a limit is no number. */
export function newKeyOf({
  choices,
  end,
  limits,
  name,
}: KeyFields & { readonly choices: ScopeChoices }): NewKey | null {
  const bounds = limitsChange(limits, {});
  const ttl_s = ENDS[end ?? 0]?.ttl_s ?? null;
  return (
    bounds && {
      name: name.trim(),
      scopes: grantsOf(choices),
      ...(ttl_s !== null && { ttl_s }),
      ...(Object.keys(bounds).length > 0 && { limits: bounds }),
    }
  );
}

export interface KeyProblems {
  readonly limits: string | null;
  readonly name: string | null;
  readonly scopes: string | null;
}

export function keyProblems(fields: KeyFields, key: KeyAnswer): KeyProblems {
  return {
    limits: limitsChange(fields.limits, key.limits) === null ? "Mend the limits." : null,
    name: fields.name.trim() === "" ? "Say what or whom it is for." : null,
    scopes: fields.choices && scopesProblem(fields.choices),
  };
}

/** What differs from the key; nothing if all is as it was. `now` in ms. */
export function keyChange(fields: KeyFields, key: KeyAnswer, now: number): ChangedKey {
  const { choices, end, limits, name } = fields;
  const bounds = limitsChange(limits, key.limits) ?? {};
  const before = choicesOf(key.scopes);
  const isOther =
    choices !== null &&
    before !== null &&
    JSON.stringify(grantsOf(choices)) !== JSON.stringify(grantsOf(before));
  const ends = end === null ? undefined : endAt(end, now);
  return {
    ...(name.trim() !== key.name && { name: name.trim() }),
    ...(isOther && { scopes: grantsOf(choices) }),
    ...(ends !== undefined && ends !== key.expires_at && { expires_at: ends }),
    ...(Object.keys(bounds).length > 0 && { limits: bounds }),
  };
}

function endAt(end: number, now: number): string | null {
  const ttl_s = ENDS[end]?.ttl_s ?? null;
  return ttl_s === null ? null : new Date(now + ttl_s * 1_000).toISOString();
}
