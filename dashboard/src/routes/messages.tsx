import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Page } from "@/components/Page";
import { Browser } from "@/features/messages/Browser";
import type { Look } from "@/features/messages/look";
import { TopicBox } from "@/features/messages/TopicBox";
import { Allowed } from "@/features/signin/Allowed";
import { useReasonAgainstReading } from "@/services/server";
import { topicNamesQuery } from "@/services/topics";

const route = getRouteApi("/messages");
const OFFERED_COUNT = 20;

export function MessagesPage() {
  const look = route.useSearch();
  const navigate = route.useNavigate();
  const onLook = (change: Partial<Look>) =>
    void navigate({ resetScroll: false, search: (before) => ({ ...before, ...change }) });
  return (
    <Page title="Messages">
      <Allowed reason={useReasonAgainstReading()}>
        <Browser
          look={look}
          onLook={onLook}
          topicChoice={
            <TopicBox
              label="Topic"
              onTopic={(topic) => onLook({ msg: "", topic })}
              topic={look.topic}
            />
          }
        />
        {look.topic === "" && <Offered />}
      </Allowed>
    </Page>
  );
}

/** The first topics, so that a choice is one click. */
function Offered() {
  const names = useQuery(topicNamesQuery("", OFFERED_COUNT));
  return (
    <ul className="flex flex-wrap gap-2">
      {names.data?.topics.map(({ name }) => (
        <li key={name}>
          <Link
            className="inline-block rounded-md border border-line bg-surface px-3 py-1.5 hover:bg-raised"
            data-row
            search={(before) => ({ ...before, topic: name })}
            to="/messages"
          >
            {name}
          </Link>
        </li>
      ))}
    </ul>
  );
}
