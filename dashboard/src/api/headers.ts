// Headers of a message. Any text is a name, `__proto__` too, which is lost wherever an object is copied name by name.

import "@/api/withoutEval";

import { z } from "zod";

function isOfTexts(value: unknown): value is Record<string, string> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === "string")
  );
}

/** As they are in an answer, an object; each a pair of name and value, in that order. */
export const Headers = z
  .custom<Record<string, string>>(isOfTexts, "headers are texts by name")
  .transform((headers) => Object.entries(headers));
export type Headers = z.output<typeof Headers>;
