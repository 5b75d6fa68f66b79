import { useState } from "react";

/** State that belongs to a subject, such as a dialog about it: of another subject it is what it was at first, by whatever
 * way that has come to be shown. */
export function useStateOf<Value>(subject: string, first: Value) {
  const [held, setHeld] = useState({ subject, value: first });
  if (held.subject !== subject) setHeld({ subject, value: first });
  const set = (value: Value) => setHeld({ subject, value });
  return [held.subject === subject ? held.value : first, set] as const;
}
