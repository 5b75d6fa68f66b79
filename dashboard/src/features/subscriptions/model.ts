// What may be typed of a subscription, what a seek means, and its state in a word.

import type { Moved, SubscriptionAnswer, SubscriptionChange, TopicMove } from "@/api/schema";
import { count } from "@/components/format";
import type { Tone } from "@/components/stateColours";
import type { Start } from "@/services/subscriptions";

const NAME_MAX_CHARS = 255;
const NAME = /^[A-Za-z0-9_.-]+$/;
const PATTERN = /^(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.>)?$|^>$/;
const AMOUNT = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i;
const MS: Readonly<Record<string, number>> = { "": 1, h: 3_600_000, min: 60_000, ms: 1, s: 1_000 };
// A seek that has so many come again, or skips so many, wants the name typed.
const TYPED_COUNT = 1_000;
// The server counts dead letters up to here.
const DEAD_MAX_COUNT = 10_000;

/** In the words of the command line: `active` with somebody attached, else `idle`. */
export function stateOf(subscription: SubscriptionAnswer): { word: string; tone: Tone } {
  if (subscription.paused) return { tone: "paused", word: "paused" };
  if (subscription.full) return { tone: "bad", word: "full" };
  if (subscription.subscribers > 0) return { tone: "ok", word: "active" };
  return { tone: subscription.lag > 0 ? "warn" : "idle", word: "idle" };
}

export function nameProblem(name: string): string | null {
  if (name === "") return "A subscription needs a name.";
  if (name.length > NAME_MAX_CHARS) return `A name has at most ${NAME_MAX_CHARS} characters.`;
  if (NAME.test(name) && name !== "." && name !== "..") return null;
  return "A name is made of A–Z, a–z, 0–9, _, - and dots: billing.invoices";
}

export function patternProblem(pattern: string): string | null {
  if (PATTERN.test(pattern) && pattern.length <= NAME_MAX_CHARS) return null;
  return "A topic such as orders.created, or a pattern: orders.* for one part, orders.> for one or more.";
}

export type Setting = keyof SubscriptionChange;

export const SETTINGS: readonly {
  readonly hint: string;
  readonly isTime: boolean;
  readonly label: string;
  readonly least: number;
  readonly most: number;
  readonly setting: Setting;
}[] = [
  {
    hint: "Unsettled deliveries that one subscriber has. 1 to 10,000.",
    isTime: false,
    label: "At most in flight",
    least: 1,
    most: 10_000,
    setting: "max_in_flight",
  },
  {
    hint: "To ack the first attempt; doubled with each failure. Such as 30 s.",
    isTime: true,
    label: "Time to ack",
    least: 10,
    most: 3_600_000,
    setting: "ack_wait_ms",
  },
  {
    hint: "What doubling leads to. Such as 60 s.",
    isTime: true,
    label: "At most so long",
    least: 10,
    most: 3_600_000,
    setting: "max_ack_wait_ms",
  },
  {
    hint: "Failures until it is a dead letter. 1 to 100.",
    isTime: false,
    label: "Attempts",
    least: 1,
    most: 100,
    setting: "max_attempts",
  },
  {
    hint: "Lost connections until it is a dead letter. 1 to 1,000; empty: never.",
    isTime: false,
    label: "Lost at most",
    least: 1,
    most: 1_000,
    setting: "max_lost",
  },
];

export type Texts = Readonly<Record<Setting, string>>;
export type Parsed = { readonly value: number | null } | { readonly problem: string };

/** A setting as it was typed; times may have a unit, and are milliseconds without one. */
export function parseSetting(setting: Setting, typed: string): Parsed {
  const known = SETTINGS.find((each) => each.setting === setting);
  const text = typed.trim();
  if (!known || (text === "" && setting === "max_lost")) return { value: null };
  const found = AMOUNT.exec(text);
  const unit = found?.[2]?.toLowerCase() ?? "";
  const size = known.isTime ? MS[unit] : unit === "" ? 1 : undefined;
  if (!found || size === undefined) {
    return { problem: known.isTime ? "A time: 500 ms, 30 s, 2 min, 1 h." : "A whole number." };
  }
  const value = Number(found[1]) * size;
  if (Number.isInteger(value) && value >= known.least && value <= known.most) return { value };
  const [least, most] = [known.least, known.most].map((each) => settingText(setting, each));
  return { problem: `From ${least} to ${most}.` };
}

/** A setting as it would be typed. */
export function settingText(setting: Setting, value: number | null): string {
  if (value === null) return "";
  if (!SETTINGS.find((each) => each.setting === setting)?.isTime) return String(value);
  if (value >= 3_600_000 && value % 3_600_000 === 0) return `${value / 3_600_000} h`;
  return value % 1_000 === 0 ? `${value / 1_000} s` : `${value} ms`;
}

/** Only what differs from what it has, as the API takes it; null while something is not understood. */
export function changes(texts: Texts, now: SubscriptionAnswer): Partial<SubscriptionChange> | null {
  const found: Partial<Record<Setting, number | null>> = {};
  for (const { setting } of SETTINGS) {
    // What nobody has typed is understood, whatever it is.
    if (texts[setting] === settingText(setting, now[setting])) continue;
    const parsed = parseSetting(setting, texts[setting]);
    if ("problem" in parsed) return null;
    if (parsed.value !== now[setting]) found[setting] = parsed.value;
  }
  return found as Partial<SubscriptionChange>;
}

export type StartKind = "new" | "earliest" | "hour" | "day" | "seq" | "time";
const AGO_MS: Readonly<Partial<Record<StartKind, number>>> = { day: 86_400_000, hour: 3_600_000 };

/** A start as it was chosen or typed. `now`: by the server's clock, in milliseconds; a time that is typed is of this
 * machine's clock, as a field for times has it. */
export function startOf(
  kind: StartKind,
  typed: string,
  now: number,
): Start | { readonly problem: string } {
  if (kind === "new" || kind === "earliest") return kind;
  const agoMs = AGO_MS[kind];
  if (agoMs !== undefined) return { time: new Date(now - agoMs).toISOString() };
  if (kind === "seq") {
    const seq = Number(typed.trim());
    if (/^\d+$/.test(typed.trim()) && seq >= 1 && Number.isSafeInteger(seq)) return { seq };
    return { problem: "The number of a message, from 1 on." };
  }
  const at = new Date(typed);
  if (typed !== "" && !Number.isNaN(at.getTime())) return { time: at.toISOString() };
  return { problem: "A date and a time." };
}

/** What a seek would mean, in a sentence. */
export function meaning(plan: Moved): string {
  const again = plan.again_count ?? 0;
  const skipped = plan.skipped_count ?? 0;
  const dead = plan.dead_again_count ?? 0;
  if (again === 0 && skipped === 0) return "Nothing comes again, and nothing is skipped.";
  const parts = [
    ...(again
      ? [`${messages(again)} that ${again === 1 ? "is" : "are"} settled ${comes(again)} again`]
      : []),
    ...(skipped
      ? [
          `${messages(skipped)} that ${skipped === 1 ? "is" : "are"} not settled will never be delivered`,
        ]
      : []),
  ];
  const letters = dead
    ? ` Dead letters among them, which count as redriven then: ${dead < DEAD_MAX_COUNT ? "" : "at least "}${count(dead)}.`
    : "";
  return `${parts.join(", and ")}.${letters}`;
}

type Gap = NonNullable<Moved["gaps"]>[number];

/** What of the place that is asked for is not there, and why. */
export function gapWords({ from_seq, reason, to_seq, topic, was_published }: Gap): string {
  const numbers =
    to_seq === null || to_seq === from_seq
      ? `#${count(from_seq)}${to_seq === null ? " and what follows" : ""}`
      : `#${count(from_seq)} to #${count(to_seq)}`;
  if (reason === "epoch_changed") {
    return `“${topic}” was deleted, made anew or restored since: ${numbers} of that one will not come.`;
  }
  if (reason !== "log_lost") return `${numbers} of “${topic}” were removed.`;
  if (was_published) return `${numbers} of “${topic}” were published, and its log has lost them.`;
  return `“${topic}” has only ${count(from_seq - 1)} so far: ${numbers} were not published yet. What is published next comes first.`;
}

/** One gap of each kind, and whether there are more; nothing if there is none. */
export function gapsWords({ gaps = [], more_gaps }: Moved): string {
  // The last that is put in stays: that is the first of its kind.
  const kinds = new Map(
    gaps.toReversed().map((gap) => [`${gap.reason} ${gap.was_published ?? false}`, gap]),
  );
  const more = more_gaps ? "many" : count(gaps.length - kinds.size);
  return [
    ...[...kinds.values()].toReversed().map(gapWords),
    ...(more === "0" ? [] : [`Like that in other topics too: ${more}.`]),
  ].join(" ");
}

type NumberIs = TopicMove["next_is"];

/** What a number is that has no time of its own; nothing if the server does not say it. `next`: the first message behind
 * it that is stored. */
export function placeWords(is: NumberIs, next: number | null | undefined): string {
  if (is === "not_published") return "not published yet";
  if (is !== "removed") return "";
  return next ? `removed; the next that is stored is #${count(next)},` : "removed";
}

/** Whether it is about so many that the name is to be typed. */
export const wantsName = ({ again_count, skipped_count }: Moved) =>
  Math.max(again_count ?? 0, skipped_count ?? 0) > TYPED_COUNT;

// Of what was seen; so much more is another decision.
const GROWN = 1.25;

/** Whether a seek means much more by now than what was seen. Who is told that it grows has decided upon that: then only
 * what the name is to be typed for is more. */
export function hasGrown(now: Moved, seen: Moved, isTold: boolean): boolean {
  if (wantsName(now) && !wantsName(seen)) return true;
  if (isTold) return false;
  return (["again_count", "skipped_count"] as const).some(
    (each) => (now[each] ?? 0) > GROWN * (seen[each] ?? 0),
  );
}

/** The button that does it, with how many. */
export function seekVerb(plan: Moved): string {
  const again = plan.again_count ?? 0;
  const skipped = plan.skipped_count ?? 0;
  if (again) return `Seek, and deliver ${count(again)} again`;
  return skipped ? `Seek, and skip ${count(skipped)}` : "Seek";
}

const comes = (amount: number) => (amount === 1 ? "comes" : "come");
const messages = (amount: number) => `${count(amount)} ${amount === 1 ? "message" : "messages"}`;
