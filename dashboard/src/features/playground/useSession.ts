import { useEffect, useState, useSyncExternalStore } from "react";
import { onCallerChange } from "@/api/caller";
import { Session, type SessionView } from "@/features/playground/session";

/** A connection that lives as long as the page. Another caller gets another one. */
export function useSession(): readonly [SessionView, Session] {
  const [session, setSession] = useState(() => new Session());
  useEffect(() => {
    session.open();
    const unsubscribe = onCallerChange(() => setSession(new Session()));
    return () => {
      unsubscribe();
      session.close();
    };
  }, [session]);
  return [useSyncExternalStore(session.listen, session.view), session] as const;
}
