import { useEffect, useMemo, useSyncExternalStore } from "react";
import { onCallerChange } from "@/api/caller";
import { TailFeed, type TailView } from "@/live/tailFeed";

/** Follows a topic or a pattern while the page is seen. Another caller follows it anew. */
export function useTail(topic: string): readonly [TailView, TailFeed] {
  const feed = useMemo(() => new TailFeed(topic), [topic]);
  useEffect(() => {
    const follow = () => (document.hidden ? feed.stop() : feed.start());
    const anew = () => {
      feed.stop();
      feed.clear();
      follow();
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    const unsubscribe = onCallerChange(anew);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      unsubscribe();
      feed.stop();
    };
  }, [feed]);
  return [useSyncExternalStore(feed.subscribe, feed.view), feed] as const;
}
