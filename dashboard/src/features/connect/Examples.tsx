import { useQuery } from "@tanstack/react-query";
import { serverUrl } from "@/api/place";
import { Snippet } from "@/components/Snippet";
import { examples } from "@/features/connect/model";
import { whoamiQuery } from "@/services/server";

interface ExamplesProps {
  readonly topic: string;
}

export function Examples({ topic }: ExamplesProps) {
  const { data } = useQuery(whoamiQuery());
  const hasAuth = data !== undefined && data.actor !== "anonymous";
  return (
    <div className="space-y-3">
      {examples({ hasAuth, topic, url: serverUrl() }).map(({ label, text }) => (
        <Snippet key={label} label={label} text={text} />
      ))}
    </div>
  );
}
