// What stands behind the `?` of an address: texts, as they are. A topic may be called 1.0, and a tenant 123; what is a
// number is made one by the schema of its page.

/** Each name with its text. Of one that is given twice the last counts. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

/** The same the other way, with its `?` if there is anything. What is undefined is left out. */
export function stringifySearch(search: Readonly<Record<string, unknown>>): string {
  const said = Object.entries(search).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}
