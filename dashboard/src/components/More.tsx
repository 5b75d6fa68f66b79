// The next page of a list that comes a page at a time.

import { useCallback, useEffect, useRef, useState } from "react";
import { asApiError } from "@/api/errors";
import { Button } from "@/components/Button";

/** What is known of such a list, as TanStack Query tells it. */
export interface Pages {
  readonly data: { readonly pages: readonly { readonly next: unknown }[] } | undefined;
  readonly fetchNextPage: () => Promise<{
    readonly error: Error | null;
    readonly isFetchNextPageError: boolean;
  }>;
  readonly hasNextPage: boolean;
  readonly isFetching: boolean;
  readonly isFetchingNextPage: boolean;
}

export interface More {
  readonly ask: () => void;
  /** Why the next page did not come. */
  readonly failure: Error | null;
}

/** Asks for the next page when the end of the list comes near: once, until there is another next one, or the end was
 * left and has come near again. One that fails comes when it is asked for. */
export function useMore(list: Pages | undefined, isNearEnd: boolean): More {
  const { fetchNextPage, hasNextPage = false, isFetching = false } = list ?? {};
  const next = list?.data?.pages.at(-1)?.next ?? null;
  const asked = useRef<unknown>(null);
  const [failed, setFailed] = useState<{ error: Error | null; next: unknown } | null>(null);
  const ask = useCallback(() => {
    asked.current = next;
    setFailed(null);
    void fetchNextPage?.().then(({ error, isFetchNextPageError }) => {
      if (isFetchNextPageError) setFailed({ error, next });
      // What a change of the list has called off is asked for again.
      else asked.current = null;
    });
  }, [fetchNextPage, next]);
  useEffect(() => {
    if (!isNearEnd) asked.current = null;
    else if (hasNextPage && !isFetching && asked.current !== next) ask();
  }, [ask, hasNextPage, isFetching, isNearEnd, next]);
  return { ask, failure: failed?.next === next ? (failed?.error ?? null) : null };
}

interface MoreSaidProps {
  readonly list: Pages;
  readonly more: More;
}

/** Behind how many there are: that there are more, and what has become of them. */
export function MoreSaid({ list, more: { ask, failure } }: MoreSaidProps) {
  if (!list.hasNextPage) return null;
  if (list.isFetchingNextPage) return ", loading more…";
  if (failure === null) return ", and more";
  return (
    <>
      , and more: <span className="text-bad">{asApiError(failure).message}</span>{" "}
      <Button className="min-h-6 py-0" onClick={ask}>
        Try again
      </Button>
    </>
  );
}
