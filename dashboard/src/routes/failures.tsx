import { useQueryClient } from "@tanstack/react-query";
import { type ErrorComponentProps, Link, useRouter } from "@tanstack/react-router";
import { useEffect } from "react";
import { asApiError } from "@/api/errors";
import { serverUrl } from "@/api/place";
import { Page } from "@/components/Page";
import { Failure } from "@/components/states";
import { currentConnection, returned } from "@/live/connection";
import { useStill } from "@/live/still";
import { healthQuery } from "@/services/server";

// A server that answers and has the code no more is not asked for it again and again.
const AGAIN_AFTER_MS = 60_000;
let askedAgainAt = Number.NEGATIVE_INFINITY;

/** In the place of a page that has failed; what is around it stays. */
export function PageFailed({ error }: ErrorComponentProps) {
  // Its code may be of a version that the server has not got any more: only loading it anew helps then. But not while
  // the server is away: the browser would have nothing to show.
  const again = () =>
    void fetch(`${serverUrl()}health`).then(
      () => window.location.reload(),
      () => undefined,
    );
  const isMissing = asApiError(error).code === "code_missing";
  useStill();
  useAskAgain(isMissing);
  return (
    <Page title="This page failed">
      <Failure error={error} onRetry={again} what="The page cannot be shown" />
      {isMissing && (
        <p className="text-dim">
          It is asked for again by itself when the server is back, unless pages are paused. If the
          server was upgraded meanwhile, try again: that loads the page anew.
        </p>
      )}
    </Page>
  );
}

/** Has the page's code asked for again, in its place, once the server answers. */
function useAskAgain(isMissing: boolean): void {
  const client = useQueryClient();
  const router = useRouter();
  useEffect(() => {
    if (!isMissing) return;
    const askAgain = () => void router.invalidate();
    const stop = returned.on(askAgain);
    let isShown = true;
    // Only requests tell whether the server answers, and loading the code is none. It may be back already.
    void client.refetchQueries({ queryKey: healthQuery().queryKey }).then(() => {
      const isDue = Date.now() - askedAgainAt > AGAIN_AFTER_MS;
      if (!isShown || !isDue || currentConnection().state !== "live") return;
      askedAgainAt = Date.now();
      askAgain();
    });
    return () => {
      isShown = false;
      stop();
    };
  }, [isMissing, client, router]);
}

export function NotFoundPage() {
  return (
    <Page title="No such page">
      <p>
        Nothing is at this address.{" "}
        <Link className="text-accent underline" to="/">
          Go to the Overview
        </Link>
      </p>
    </Page>
  );
}
