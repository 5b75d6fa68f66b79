/** Whether a pattern has a topic, or all topics of another pattern: `*` is any one part, and `>` at the end one or
 * more. */
export function covers(pattern: string, topic: string): boolean {
  const wanted = pattern.split(".");
  const parts = topic.split(".");
  if (wanted.at(-1) === ">") {
    return parts.length >= wanted.length && wanted.slice(0, -1).every(fits);
  }
  return parts.length === wanted.length && wanted.every(fits);

  function fits(part: string, at: number): boolean {
    return part === parts[at] || (part === "*" && parts[at] !== ">");
  }
}
