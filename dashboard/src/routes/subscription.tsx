import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { FastForward, Pause, Play, Trash2 } from "lucide-react";
import { useState } from "react";
import { useCaller } from "@/api/caller";
import { asApiError } from "@/api/errors";
import type { SubscriptionAnswer } from "@/api/schema";
import { Back } from "@/components/Back";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { foreign } from "@/components/foreign";
import { Outcome } from "@/components/Outcome";
import { Page } from "@/components/Page";
import { Reason } from "@/components/Reason";
import { Failure, isForbidden, Loading, Stale } from "@/components/states";
import { Tabs, tabClass } from "@/components/Tabs";
import { Allowed } from "@/features/signin/Allowed";
import { DeleteSubscription } from "@/features/subscriptions/DeleteSubscription";
import { stateOf } from "@/features/subscriptions/model";
import { Seek } from "@/features/subscriptions/Seek";
import { Settings } from "@/features/subscriptions/Settings";
import { Subscribers } from "@/features/subscriptions/Subscribers";
import { Summary } from "@/features/subscriptions/Summary";
import { useReasonAgainst } from "@/services/server";
import { subscriptionQuery, usePauseSubscription } from "@/services/subscriptions";

const route = getRouteApi("/subscriptions/$name");

const TABS = ["summary", "subscribers", "settings"] as const;
const LABELS = { settings: "Settings", subscribers: "Subscribers", summary: "Summary" } as const;

/** What is open, typed or chosen in it belongs to this subscription. */
export function SubscriptionPage() {
  const { name } = route.useParams();
  const { tenant } = useCaller();
  return <Subscription key={`${tenant} ${name}`} name={name} />;
}

function Subscription({ name }: { readonly name: string }) {
  const { tab } = route.useSearch();
  const unread = useReasonAgainst("manage");
  const found = useQuery({ ...subscriptionQuery(name), enabled: unread === null });
  // Of which topics it is, only its answer would say.
  const whyHidden = isForbidden(found.error)
    ? `The key may not manage “${foreign(name)}”: its scope manage is for other topics.`
    : null;
  const isGone = found.isError && asApiError(found.error).code === "subscription_not_found";
  const shown = isGone || whyHidden ? undefined : found.data;
  // What is deleted here is gone before this page hears that it was done: the dialog has it as it was.
  const [deleting, setDeleting] = useState<SubscriptionAnswer | null>(null);
  // The same of what somebody else deletes while its seek is not answered.
  const pause = usePauseSubscription();
  const [seeking, setSeeking] = useState<SubscriptionAnswer | null>(null);
  return (
    <Page
      actions={
        shown && (
          <Actions
            pause={pause}
            onDelete={() => setDeleting(shown)}
            onSeek={() => setSeeking(shown)}
            subscription={shown}
          />
        )
      }
      back={
        <div className="flex flex-wrap items-center gap-3">
          <Back to="/subscriptions">Back to subscriptions</Back>
          {shown && <State subscription={shown} />}
          {found.isError && shown && <Stale error={found.error} />}
        </div>
      }
      title={name}
    >
      <Outcome act={pause} {...wordsOf(isPause(pause))} onLook={() => {}} />
      <SubscriptionTabs name={name} tab={tab} />
      <Allowed reason={unread ?? whyHidden}>
        {found.isPending && <Loading what="the subscription" />}
        {found.isError && !shown && (
          <Failure error={found.error} onRetry={found.refetch} what="It cannot be shown" />
        )}
        {shown && <Inside subscription={shown} tab={tab} />}
      </Allowed>
      {seeking && <Seek onClose={() => setSeeking(null)} subscription={shown ?? seeking} />}
      {deleting?.name === name && (
        <DeleteSubscription onClose={() => setDeleting(null)} subscription={shown ?? deleting} />
      )}
    </Page>
  );
}

interface TabsProps {
  readonly name: string;
  readonly tab: (typeof TABS)[number];
}

function SubscriptionTabs({ name, tab }: TabsProps) {
  return (
    <Tabs current={tab} label="Of this subscription">
      {TABS.map((each) => (
        <Link
          // Its own idea of what is current takes a tab whose address says less for this one.
          activeOptions={{ exact: true }}
          aria-current={each === tab ? "page" : undefined}
          className={tabClass}
          key={each}
          params={{ name }}
          replace
          search={(before) => ({ ...before, tab: each })}
          to="/subscriptions/$name"
        >
          {LABELS[each]}
        </Link>
      ))}
    </Tabs>
  );
}

interface OfProps {
  readonly subscription: SubscriptionAnswer;
}

function Inside({ subscription, tab }: OfProps & Pick<TabsProps, "tab">) {
  if (tab === "subscribers") return <Subscribers name={subscription.name} />;
  if (tab === "settings") return <Settings subscription={subscription} />;
  return <Summary subscription={subscription} />;
}

function State({ subscription }: OfProps) {
  const { tone, word } = stateOf(subscription);
  return <Badge tone={tone}>{word}</Badge>;
}

interface ActionsProps extends OfProps {
  readonly onDelete: () => void;
  readonly onSeek: () => void;
  readonly pause: ReturnType<typeof usePauseSubscription>;
}

function Actions({ onDelete, onSeek, pause, subscription }: ActionsProps) {
  const unable = useReasonAgainst("manage", subscription.topic);
  const { paused } = subscription;
  return (
    <>
      <Reason text={unable} />
      <Button
        onClick={() => pause.start(subscription)}
        title={paused ? "It goes on where it was paused" : "Messages go on being kept for it"}
        unable={unable}
      >
        {paused ? (
          <Play aria-hidden className="size-4" />
        ) : (
          <Pause aria-hidden className="size-4" />
        )}
        {pauseVerb(paused, pause)}
      </Button>
      <Button
        onClick={onSeek}
        title="Moves the place from which it goes on, back or forward"
        unable={unable}
      >
        <FastForward aria-hidden className="size-4" /> Seek…
      </Button>
      <Button onClick={onDelete} unable={unable}>
        <Trash2 aria-hidden className="size-4 text-bad" /> Delete…
      </Button>
    </>
  );
}

function pauseVerb(isPaused: boolean, pause: ActionsProps["pause"]): string {
  if (pause.isPending) return isPause(pause) ? "Pausing…" : "Resuming…";
  return isPaused ? "Resume" : "Pause";
}

const isPause = ({ variables }: ActionsProps["pause"]) => variables?.paused === false;

function wordsOf(isToPause: boolean) {
  const done = isToPause ? "paused" : "resumed";
  return { may: `It may have been ${done}`, not: `It was not ${done}` };
}
