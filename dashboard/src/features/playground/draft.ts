// What the next visit of the playground begins with. In memory only: a payload is in no address and no storage.

import { parted } from "@/live/acquaintance";

export interface Draft {
  readonly headers: string;
  readonly key: string;
  readonly payload: string;
}

const FIRST: Draft = {
  headers: "",
  key: "",
  payload: '{\n  "number": {{seq}},\n  "id": "{{uuid}}",\n  "at": "{{now}}"\n}',
};

let draft = FIRST;
parted.on(() => {
  draft = FIRST;
});

export function currentDraft(): Draft {
  return draft;
}

export function setDraft(change: Partial<Draft>): void {
  draft = { ...draft, ...change };
}
