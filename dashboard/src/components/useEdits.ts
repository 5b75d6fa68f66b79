// A form for what somebody else may change meanwhile: what is typed lies over what is there, field by field.

import { useState } from "react";

interface Edit {
  /** What was there when it was first typed into, as JSON. */
  readonly before: string;
  readonly value: unknown;
}

export type Edits<Fields> = { readonly [Name in keyof Fields]?: Edit };

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

const names = <Fields extends object>(fields: Fields) => Object.keys(fields) as (keyof Fields)[];

/** The fields as they are to be shown: those that nobody has typed into follow what is there, and so differ in nothing. */
export function overlaid<Fields extends object>(there: Fields, edits: Edits<Fields>): Fields {
  const shown = names(there).map((name) => {
    const edit = edits[name];
    return [name, edit ? edit.value : there[name]];
  });
  return Object.fromEntries(shown) as Fields;
}

/** The edits after the fields were made `next`. What is typed as it is there is none. */
export function edited<Fields extends object>(
  there: Fields,
  edits: Edits<Fields>,
  next: Fields,
): Edits<Fields> {
  const kept = names(there).flatMap((name) => {
    if (same(next[name], there[name])) return [];
    const before = edits[name]?.before ?? JSON.stringify(there[name]);
    return [[name, { before, value: next[name] }]];
  });
  return Object.fromEntries(kept) as Edits<Fields>;
}

/** The fields that somebody else has changed since they were typed into, to what is not typed. */
export function overtaken<Fields extends object>(
  there: Fields,
  edits: Edits<Fields>,
): (keyof Fields)[] {
  return names(there).filter((name) => {
    const edit = edits[name];
    if (edit === undefined || same(edit.value, there[name])) return false;
    return edit.before !== JSON.stringify(there[name]);
  });
}

/** `there`: what the form is about, as it was heard of last. `mark`: what of it no other one of its name has. */
export function useEdits<Fields extends object>(there: Fields, mark = "") {
  const [{ edits, of }, setTyped] = useState<{ edits: Edits<Fields>; of: string }>({
    edits: {},
    of: mark,
  });
  const shown = overlaid(there, edits);
  const isEdited = !same(shown, there);
  const meant = isEdited ? of : mark;
  return {
    change: (next: Fields) => setTyped({ edits: edited(there, edits, next), of: meant }),
    isEdited,
    isOfAnother: meant !== mark,
    /** The mark of the one for which it was typed. */
    meant,
    overtaken: overtaken(there, edits),
    shown,
    /** Forgets what was typed: it is not wanted any more, or it is what is there. */
    undo: () => setTyped({ edits: {}, of: mark }),
  };
}
