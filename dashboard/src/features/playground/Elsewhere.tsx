import { useState } from "react";
import { Segments } from "@/components/Segments";
import { Snippet } from "@/components/Snippet";
import { publishActs, subscribeActs } from "@/features/connect/acts";
import { usePlace } from "@/features/connect/usePlace";
import type { PlaygroundLook } from "@/features/playground/look";
import { type Drafted, differences, filledIn, SAMPLE } from "@/features/playground/publishing";
import { read, type Terms } from "@/features/playground/terms";

interface ElsewhereProps {
  readonly draft: Drafted;
  readonly look: PlaygroundLook;
  readonly terms: Terms;
}

/** The same two acts as one types them elsewhere, as they are typed here. */
export function Elsewhere({ draft, look, terms }: ElsewhereProps) {
  const [at, setAt] = useState("0");
  const place = usePlace();
  const publish = publishActs({ ...filledIn(draft, SAMPLE), topic: look.topic }, place);
  const { ackWaitMs, perS, total, windowCount } = read(terms);
  const notes = differences(draft, total, perS);
  const subscribe = subscribeActs(
    {
      ackWaitMs,
      windowCount,
      ack: look.ack,
      start: look.start,
      subscription: look.name,
      topic: look.pattern || look.topic,
    },
    place,
  );
  const shown = [publish[Number(at)], subscribe[Number(at)]] as const;
  return (
    <section aria-labelledby="elsewhere" className="space-y-3">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <h2 className="font-semibold text-base" id="elsewhere">
          The same from elsewhere
        </h2>
        <Segments
          chosen={at}
          label="Where"
          onChoose={setAt}
          options={publish.map(({ label }, index) => [String(index), label] as const)}
        />
      </div>
      <div className="grid items-start gap-4 lg:grid-cols-2">
        {shown.map(
          (each, index) =>
            each && (
              <div className="min-w-0" key={index === 0 ? "publish" : "subscribe"}>
                <Snippet
                  label={`${index === 0 ? "Publish" : "Subscribe"}: ${each.label}`}
                  text={each.text}
                />
                {index === 0 && notes && <p className="mt-1 text-warn text-xs">{notes}</p>}
              </div>
            ),
        )}
      </div>
    </section>
  );
}
