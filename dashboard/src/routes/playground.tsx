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
import { useSession } from "@/features/playground/useSession";

const route = getRouteApi("/playground");
const CARD = "min-w-0 space-y-3 rounded-lg border border-line bg-surface p-4";

export function PlaygroundPage() {
  // Its address follows what is typed, and not the other way round: that would be a letter too late.
  const [look, setLook] = useState<PlaygroundLook>(route.useSearch());
  const navigate = route.useNavigate();
  const [draft, setDraft] = useState(currentDraft);
  const [view, session] = useSession();
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
            onTopic={(topic) => onLook({ topic })}
            session={session}
            topic={look.topic}
            view={view}
          />
        </section>
        <section aria-labelledby="subscribe" className={CARD}>
          <h2 className="font-semibold text-base" id="subscribe">
            Subscribe
          </h2>
          <SubscribePanel look={look} onLook={onLook} session={session} view={view} />
        </section>
      </div>
      <Frames frames={view.frames} />
      <Elsewhere draft={draft} look={look} />
    </Page>
  );
}
