import { ago, exactly } from "@/components/format";
import { useNow } from "@/components/useNow";

interface TimeProps {
  readonly at: string;
}

/** How long ago; when exactly is said on hover. */
export function Time({ at }: TimeProps) {
  const now = useNow();
  return (
    <time className="whitespace-nowrap" dateTime={at} title={exactly(at)}>
      {ago(at, now)}
    </time>
  );
}
