import { type ErrorComponentProps, Link } from "@tanstack/react-router";
import { serverUrl } from "@/api/place";
import { Page } from "@/components/Page";
import { Failure } from "@/components/states";

/** In the place of a page that has failed; what is around it stays. */
export function PageFailed({ error }: ErrorComponentProps) {
  // Its code may be of a version that the server has not got any more: only loading it anew helps then. But not while
  // the server is away: the browser would have nothing to show.
  const again = () =>
    void fetch(`${serverUrl()}health`).then(
      () => window.location.reload(),
      () => undefined,
    );
  return (
    <Page title="This page failed">
      <Failure error={error} onRetry={again} what="The page cannot be shown" />
    </Page>
  );
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
