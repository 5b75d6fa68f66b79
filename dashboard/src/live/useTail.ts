import { useEffect, useMemo, useSyncExternalStore } from "react";
import { onCallerChange } from "@/api/caller";
import { usePace } from "@/live/pace";
import { TailFeed, type TailView } from "@/live/tailFeed";

/** Follows a topic or a pattern while the page is seen, and is not paused as a whole. Another caller follows it anew. */
export function useTail(topic: string): readonly [TailView, TailFeed] {
  const feed = useMemo(() => new TailFeed(topic), [topic]);
  const isPaused = usePace() === null;
  useEffect(() => (isPaused ? feed.hold("pace") : feed.release("pace")), [feed, isPaused]);
  useEffect(() => {
    const look = () => (document.hidden ? feed.hold("hidden") : feed.release("hidden"));
    const anew = () => {
      feed.stop();
      feed.clear();
      feed.start();
    };
    look();
    feed.start();
    document.addEventListener("visibilitychange", look);
    const unsubscribe = onCallerChange(anew);
    return () => {
      document.removeEventListener("visibilitychange", look);
      unsubscribe();
      feed.stop();
    };
  }, [feed]);
  return [useSyncExternalStore(feed.subscribe, feed.view), feed] as const;
}
