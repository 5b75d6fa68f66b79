// What somebody should look at of dead letters: of each tenant that has any.

import type { Attentive, DeadLetterList } from "@/api/schema";
import { foreign } from "@/components/foreign";
import { count, counted } from "@/components/format";
import { type Item, ofTenant, type Whose } from "@/features/overview/item";

// Of so many tenants each is named.
const TENANTS_MAX_COUNT = 5;

/** `letters`: the newest of the tenant that is shown, or of the own one. */
export function ofLetters(
  attentive: Attentive | undefined,
  letters: DeadLetterList | undefined,
  whose: Whose,
): Item[] {
  if (!attentive) return [];
  const { dead_letters, dead_letters_by_tenant, more_dead_tenants } = attentive;
  const told = dead_letters_by_tenant.slice(0, TENANTS_MAX_COUNT);
  const toldCount = told.reduce((sum, each) => sum + each.dead_letters, 0);
  const more = dead_letters_by_tenant.length + more_dead_tenants - told.length;
  const known = whose.shown ?? whose.own ?? "default";
  return [
    ...told.map((each) =>
      ofOne(each.tenant, each.dead_letters, each.tenant === known ? letters : undefined, whose),
    ),
    ...(more > 0 ? [rest(dead_letters - toldCount, more)] : []),
  ];
}

function ofOne(
  tenant: string,
  dead: number,
  letters: DeadLetterList | undefined,
  whose: Whose,
): Item {
  const isOne = dead === 1;
  const gaveUp = isOne ? "Its subscriber gave it up." : "Their subscribers gave them up.";
  const redrive = `Redrive ${isOne ? "it" : "them"} once`;
  const newest = letters?.dead_letters[0];
  const why = newest
    ? `${gaveUp} ${isOne ? "It" : "The newest"} died in ${cause(newest)}. ${redrive} that is mended.`
    : `${gaveUp} ${redrive} the cause is mended.`;
  const what = `${isOne ? "One dead letter" : `${count(dead)} dead letters`}${ofTenant(tenant, whose)}`;
  return { id: `dead:${tenant}`, tenant, to: "/dead-letters", tone: "bad", what, why };
}

function cause({ reason, subscription, topic }: DeadLetterList["dead_letters"][number]): string {
  const who = subscription
    ? `of subscription “${subscription}”`
    : "of a subscriber without a durable subscription";
  return `topic “${topic}”, ${who}: ${reason ? `“${foreign(reason)}”` : "without a reason"}`;
}

function rest(letters: number, tenants: number): Item {
  const what = `${counted(letters, "dead letter")} of ${counted(tenants, "more tenant")}`;
  const why = "The tenants above have the most.";
  return { id: "more:dead", to: "/tenants", tone: "bad", what, why };
}
