// What tells the answer to one frame from the answer to another.

let count = 0;

/** Unique in the life of the page: a late answer is never taken for that to something else. */
export function newRef(kind: string): string {
  count += 1;
  return `${kind}-${count}`;
}
