import { useQueries } from "@tanstack/react-query";
import { useDeferredValue, useEffect, useState } from "react";
import type { TopicActivity } from "@/api/schema";
import { activityQuery, namesTogether } from "@/services/stats";

// While rows move past nothing is asked for.
const SETTLED_MS = 150;

/** What goes through these topics, by name, once they have stood still for a moment. */
export function useActivity(shown: readonly string[]): ReadonlyMap<string, TopicActivity> {
  const text = useDeferredValue(shown.join(","));
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const names = settled === "" ? [] : settled.split(",");
  return useQueries({ combine, queries: namesTogether(names).map(activityQuery) });
}

function combine(
  answers: readonly { readonly data: { readonly topics: readonly TopicActivity[] } | undefined }[],
): ReadonlyMap<string, TopicActivity> {
  return new Map(answers.flatMap(({ data }) => data?.topics ?? []).map((one) => [one.name, one]));
}
