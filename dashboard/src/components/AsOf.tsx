import { Button } from "@/components/Button";
import { Time } from "@/components/Time";
import { useServerNow } from "@/components/useNow";

export interface Dated {
  readonly data: { readonly pages: readonly { readonly came_at: string }[] } | undefined;
  readonly isFetching: boolean;
  readonly refetch: () => unknown;
}

// What is asked for again comes sooner, however slow the pace.
const OLD_MS = 30_000;

/** Of a list that has not been asked for again for some time: of when it is. */
export function AsOf({ list: { data, isFetching, refetch } }: { readonly list: Dated }) {
  const now = useServerNow();
  const at = data?.pages[0]?.came_at;
  if (at === undefined || now - Date.parse(at) <= OLD_MS) return null;
  return (
    // Who hears the page would hear each second of it.
    <span aria-live="off" className="text-warn text-xs">
      (as of <Time at={at} />){" "}
      <Button className="min-h-6 py-0" onClick={() => refetch()}>
        {isFetching ? "Refreshing…" : "Refresh"}
      </Button>
    </span>
  );
}
