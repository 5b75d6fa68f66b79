// What the playground begins with, in its address. Payloads are not.

import "@/api/withoutEval";

import { z } from "zod";

export const PlaygroundSearch = {
  ack: z.enum(["auto", "explicit"]).default("explicit").catch("explicit"),
  name: z.coerce.string().max(255).default("").catch(""),
  /** Empty: the topic. */
  pattern: z.coerce.string().max(255).default("").catch(""),
  start: z.coerce.string().max(64).default("new").catch("new"),
  topic: z.coerce.string().max(255).default("demo").catch("demo"),
};
export const PLAYGROUND_DEFAULTS = {
  ack: "explicit",
  name: "",
  pattern: "",
  start: "new",
  topic: "demo",
} as const;

export interface PlaygroundLook {
  readonly ack: "auto" | "explicit";
  readonly name: string;
  readonly pattern: string;
  readonly start: string;
  readonly topic: string;
}

const START = /^(?:new|earliest|\d{1,15})$/;

/** Why nothing can begin there; null if it can. */
export function startProblem(start: string): string | null {
  if (START.test(start)) return null;
  const isTime = /\dT\d.*(?:Z|[+-]\d\d:?\d\d)$/.test(start) && !Number.isNaN(Date.parse(start));
  return isTime ? null : "new, earliest, a number, or a time such as 2026-11-30T10:00:00Z";
}
