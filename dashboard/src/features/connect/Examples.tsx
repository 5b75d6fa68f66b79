import { Snippet } from "@/components/Snippet";
import { examples } from "@/features/connect/model";
import { usePlace } from "@/features/connect/usePlace";

interface ExamplesProps {
  /** It is there: no example has to make it. */
  readonly exists?: boolean;
  readonly topic: string;
}

export function Examples({ exists = false, topic }: ExamplesProps) {
  const place = usePlace();
  return (
    <div className="space-y-3">
      {examples({ ...place, isNew: !exists, topic }).map(({ label, text }) => (
        <Snippet key={label} label={label} text={text} />
      ))}
    </div>
  );
}
