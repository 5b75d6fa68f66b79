import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { LiveBadge } from "@/components/LiveBadge";
import { Page } from "@/components/Page";
import { currentDraft } from "@/features/playground/draft";
import { Elsewhere } from "@/features/playground/Elsewhere";
import { Frames } from "@/features/playground/Frames";
import type { PlaygroundLook } from "@/features/playground/look";
import { PublishPanel } from "@/features/playground/PublishPanel";
import { SubscribePanel } from "@/features/playground/SubscribePanel";
import { FIRST_TERMS, type Terms } from "@/features/playground/terms";
import { useSession } from "@/features/playground/useSession";

const route = getRouteApi("/playground");
const CARD = "min-w-0 space-y-3 rounded-lg border border-line bg-surface p-4";

export function PlaygroundPage() {
  // Its address follows what is typed, and not the other way round: that would be a letter too late.
  const [look, setLook] = useState<PlaygroundLook>(route.useSearch());
  const navigate = route.useNavigate();
  const [draft, setDraft] = useState(currentDraft);
  const [terms, setTerms] = useState(FIRST_TERMS);
  const [view, session] = useSession();
  const onTerms = (change: Partial<Terms>) => setTerms((before) => ({ ...before, ...change }));
  const onLook = (change: Partial<PlaygroundLook>) => {
    setLook((before) => ({ ...before, ...change }));
    void navigate({
      replace: true,
      resetScroll: false,
      search: (before) => ({ ...before, ...change }),
    });
  };
  return (
    <Page actions={<LiveBadge machine={view.machine} />} title="Playground">
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <section aria-labelledby="publish" className={CARD}>
          <h2 className="font-semibold text-base" id="publish">
            Publish
          </h2>
          <PublishPanel
            draft={draft}
            onDraft={setDraft}
            onTerms={onTerms}
            onTopic={(topic) => onLook({ topic })}
            session={session}
            terms={terms}
            topic={look.topic}
            view={view}
          />
        </section>
        <section aria-labelledby="subscribe" className={CARD}>
          <h2 className="font-semibold text-base" id="subscribe">
            Subscribe
          </h2>
          <SubscribePanel
            look={look}
            onLook={onLook}
            onTerms={onTerms}
            session={session}
            terms={terms}
            view={view}
          />
        </section>
      </div>
      <Frames frames={view.frames} />
      <Elsewhere draft={draft} look={look} terms={terms} />
    </Page>
  );
}
