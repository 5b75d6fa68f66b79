/** Whether one value is all that there is. */
export function isAlone(values: ArrayLike<number | null | undefined>): boolean {
  let count = 0;
  for (let at = 0; at < values.length && count < 2; at++) {
    if (values[at] !== null && values[at] !== undefined) count++;
  }
  return count === 1;
}
