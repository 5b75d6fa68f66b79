import { serverUrl } from "@/api/place";
import { Page } from "@/components/Page";
import { Snippet } from "@/components/Snippet";
import { Examples } from "@/features/connect/Examples";

export function MessagesPage() {
  const base = serverUrl().replace(/\/$/, "");
  return (
    <Page title="Messages">
      <p className="text-dim">
        Messages cannot be browsed here yet. The API does it, and nothing is consumed by that:
      </p>
      <div className="max-w-3xl space-y-3">
        <Snippet
          label="curl: the newest messages of a topic"
          text={`curl '${base}/api/topics/demo/messages?order=desc&limit=20'`}
        />
        <Snippet
          label="curl: one message, and what became of it in each subscription"
          text={`curl ${base}/api/messages/MESSAGE_ID`}
        />
      </div>
    </Page>
  );
}

export function PlaygroundPage() {
  return (
    <Page title="Playground">
      <p className="text-dim">
        Nothing can be published or subscribed to here yet. In a terminal or a program:
      </p>
      <div className="max-w-3xl">
        <Examples topic="demo" />
      </div>
    </Page>
  );
}
