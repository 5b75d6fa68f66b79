// The API acts by name: whether what has the name is still what was meant.

import type { z } from "zod";
import { ApiError } from "@/api/errors";
import type { Ask } from "@/services/act";

/** What is known by its name: where it is, and what no two of a name have in common. */
export interface Kind<Thing, Mark extends keyof Thing> {
  readonly at: (name: string) => string;
  readonly mark: Mark;
  readonly schema: z.ZodType<Thing>;
  readonly what: string;
}

/** How it is now. Fails if another one has the name by now: what was decided was not about it. */
export async function askSame<Thing, Mark extends keyof Thing>(
  ask: Ask,
  { at, mark, schema, what }: Kind<Thing, Mark>,
  meant: Readonly<Pick<Thing, Mark>> & { readonly name: string },
): Promise<Thing> {
  const now = await ask(schema, at(meant.name));
  if (now[mark] === meant[mark]) return now;
  const about = `another ${what} is called “${meant.name}” by now: the one that was meant was deleted and made anew, or restored`;
  throw new ApiError(0, "another_by_now", about);
}
