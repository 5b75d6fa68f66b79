import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Eraser, Trash2 } from "lucide-react";
import { useState } from "react";
import { useCaller } from "@/api/caller";
import { asApiError } from "@/api/errors";
import type { TopicAnswer } from "@/api/schema";
import { Back } from "@/components/Back";
import { Button } from "@/components/Button";
import { Facts } from "@/components/Facts";
import { bytes, count, rate } from "@/components/format";
import { Page } from "@/components/Page";
import { Reason } from "@/components/Reason";
import { Sparkline } from "@/components/Sparkline";
import { Failure, Loading, Stale } from "@/components/states";
import { Tabs, tabClass } from "@/components/Tabs";
import { Time } from "@/components/Time";
import { Examples } from "@/features/connect/Examples";
import { Browser, Docked } from "@/features/messages/Browser";
import { Dead } from "@/features/messages/Dead";
import type { Look } from "@/features/messages/look";
import { Allowed } from "@/features/signin/Allowed";
import { DeleteTopic } from "@/features/topics/DeleteTopic";
import { Followers } from "@/features/topics/Followers";
import { kept, storedCount } from "@/features/topics/model";
import { PurgeTopic } from "@/features/topics/PurgeTopic";
import { Settings } from "@/features/topics/Settings";
import { useReasonAgainst, useReasonAgainstReading } from "@/services/server";
import { activityQuery } from "@/services/stats";
import { topicQuery } from "@/services/topics";

const route = getRouteApi("/topics/$name");

const TABS = ["summary", "messages", "subscriptions", "dead", "settings", "connect"] as const;
const LABELS = {
  connect: "Connect",
  dead: "Dead letters",
  messages: "Messages",
  settings: "Settings",
  subscriptions: "Subscriptions",
  summary: "Summary",
} as const;

/** What is open, typed or chosen in it belongs to this topic. */
export function TopicPage() {
  const { name } = route.useParams();
  const { tenant } = useCaller();
  return <Topic key={`${tenant} ${name}`} name={name} />;
}

function Topic({ name }: { readonly name: string }) {
  const { tab } = route.useSearch();
  const unread = useReasonAgainstReading(name);
  const topic = useQuery({ ...topicQuery(name), enabled: unread === null });
  // What is deleted here is gone before this page hears that it was done: the dialog has the topic as it was.
  const [deleting, setDeleting] = useState<TopicAnswer | null>(null);
  const [purging, setPurging] = useState<TopicAnswer | null>(null);
  const unable = useReasonAgainst("manage", name);
  const isGone = topic.isError && asApiError(topic.error).code === "topic_not_found";
  const shown = isGone ? undefined : topic.data;
  const topicToPurge = shown ?? purging;
  return (
    <Page
      actions={
        shown && (
          <>
            <Reason text={unable} />
            <Button onClick={() => setPurging(shown)} unable={unable}>
              <Eraser aria-hidden className="size-4 text-bad" /> Purge…
            </Button>
            <Button onClick={() => setDeleting(shown)} unable={unable}>
              <Trash2 aria-hidden className="size-4 text-bad" /> Delete…
            </Button>
          </>
        )
      }
      back={<Back to="/topics">Back to topics</Back>}
      title={name}
    >
      <TopicTabs name={name} tab={tab} />
      <Allowed reason={unread}>
        {topic.isPending && <Loading what="the topic" />}
        {topic.isError && !shown && (
          <Failure error={topic.error} onRetry={topic.refetch} what="The topic cannot be shown" />
        )}
        {topic.isError && shown && <Stale error={topic.error} />}
        {shown && tab === "summary" && <Summary topic={shown} />}
        {shown && tab !== "summary" && <Inside name={name} tab={tab} />}
        {shown && tab === "settings" && <Settings topic={shown} />}
      </Allowed>
      {tab === "connect" && <Examples exists={shown !== undefined} topic={name} />}
      {deleting?.name === name && (
        <DeleteTopic onClose={() => setDeleting(null)} topic={shown ?? deleting} />
      )}
      {topicToPurge && (
        <PurgeTopic onClose={() => setPurging(null)} open={purging !== null} topic={topicToPurge} />
      )}
    </Page>
  );
}

/** What is in the topic, in the tabs that list it. */
function Inside({ name, tab }: TabsProps) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const look = { ...search, topic: name };
  const onLook = ({ f, msg, read }: Partial<Look>) =>
    void navigate({
      resetScroll: false,
      search: (before) => ({
        ...before,
        ...(f !== undefined && { f }),
        ...(msg !== undefined && { msg }),
        ...(read !== undefined && { read }),
      }),
    });
  if (tab === "messages") return <Browser look={look} onLook={onLook} />;
  if (tab === "subscriptions") return <Followers topic={name} />;
  if (tab !== "dead") return null;
  return (
    <Docked id={look.msg}>
      <Dead look={look} />
    </Docked>
  );
}

interface TabsProps {
  readonly name: string;
  readonly tab: (typeof TABS)[number];
}

function TopicTabs({ name, tab }: TabsProps) {
  return (
    <Tabs current={tab} label="Of this topic">
      {TABS.map((each) => (
        <Link
          // Its own idea of what is current takes a tab whose address says less for this one.
          activeOptions={{ exact: true }}
          aria-current={each === tab ? "page" : undefined}
          className={tabClass}
          key={each}
          params={{ name }}
          replace
          search={(before) => ({ ...before, f: "", msg: "", tab: each })}
          to="/topics/$name"
        >
          {LABELS[each]}
        </Link>
      ))}
    </Tabs>
  );
}

/** What goes in lately, and the shape of its last minutes. */
function Pace({ name }: { readonly name: string }) {
  const activity = useQuery(activityQuery([name]));
  const found = activity.data?.topics.find((topic) => topic.name === name);
  if (!found) return <>–</>;
  return (
    <span className="flex items-center gap-4">
      {rate(found.messages_per_sec)} in, {rate(found.deliveries_per_sec)} out, in the last minute
      <span className="w-40">
        <Sparkline values={found.published_counts} />
      </span>
    </span>
  );
}

function Summary({ topic }: { readonly topic: TopicAnswer }) {
  const stored = storedCount(topic);
  const rows: [string, React.ReactNode][] = [
    [
      "Messages stored",
      `${count(stored)}${stored ? ` (${count(topic.first_seq)} to ${count(topic.last_seq)})` : ""}`,
    ],
    ["Messages ever published", count(topic.message_count)],
    ["Messages / s", <Pace key="pace" name={topic.name} />],
    ["Size", bytes(topic.stored_bytes)],
    ["Subscribers attached", count(topic.subscriber_count)],
    ["Keeps at most", kept(topic.retention)],
    ["Created", <Time at={topic.created_at} key="created" />],
    ["Epoch", <code key="epoch">{topic.epoch}</code>],
  ];
  return (
    <div className="max-w-2xl">
      <Facts rows={rows} />
    </div>
  );
}
