// What of the messages is looked at. All of it is in the address, and no payload is.

import "@/api/withoutEval";

import { z } from "zod";

export const READS = [
  ["newest", "Newest"],
  ["oldest", "Oldest"],
  ["live", "Live"],
] as const;

/** `f`: the filter as it is typed. `msg`: the id of the message that is open. */
export const LookSearch = {
  f: z.coerce.string().default(""),
  msg: z.coerce.string().max(64).default("").catch(""),
  read: z.enum(["newest", "oldest", "live"]).default("newest").catch("newest"),
};
export const LOOK_DEFAULTS = { f: "", msg: "", read: "newest" } as const;

export interface Look {
  readonly f: string;
  readonly msg: string;
  readonly read: "live" | "newest" | "oldest";
  readonly topic: string;
}

export function isPattern(topic: string): boolean {
  return /[*>]/.test(topic);
}

/** The address of one message, for others: it says whose it is, if that was chosen. */
export function permalink(topic: string, id: string, tenant: string | null, base: string): string {
  const url = new URL("messages", base);
  url.searchParams.set("topic", topic);
  url.searchParams.set("msg", id);
  if (tenant !== null) url.searchParams.set("tenant", tenant);
  return url.href;
}
