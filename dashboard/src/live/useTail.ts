import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { onCallerChange } from "@/api/caller";
import { usePace } from "@/live/pace";
import { TailFeed, type TailView } from "@/live/tailFeed";

/** Follows a topic or a pattern while the page is seen, and is not paused as a whole. Another caller follows it anew. */
export function useTail(topic: string): readonly [TailView, TailFeed] {
  const feed = useMemo(() => new TailFeed(topic), [topic]);
  const isPaused = usePace() === null;
  const wasPaused = useRef(false);
  useEffect(() => {
    if (isPaused) feed.pause();
    else if (wasPaused.current) feed.goOn();
    wasPaused.current = isPaused;
  }, [feed, isPaused]);
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
