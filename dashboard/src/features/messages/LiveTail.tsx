import { ArrowUp, Pause, Play } from "lucide-react";
import { useEffect, useEffectEvent, useRef, useState } from "react";
import { Button } from "@/components/Button";
import { foreign } from "@/components/foreign";
import { count, counted } from "@/components/format";
import { LiveBadge } from "@/components/LiveBadge";
import { Empty } from "@/components/states";
import { hasSingleKeys } from "@/features/keys/singleKeys";
import { isPattern, type Look } from "@/features/messages/look";
import { MessageRows, type Row } from "@/features/messages/MessageRows";
import { RING_COUNT } from "@/live/tail";
import type { TailFeed, TailRow, TailView } from "@/live/tailFeed";
import { useTail } from "@/live/useTail";

/** What is published, as it is. */
export function LiveTail({ look }: { readonly look: Look }) {
  const [view, feed] = useTail(look.topic);
  // What was shown when somebody began to read further down.
  const [held, setHeld] = useState<TailView | null>(null);
  const toggle = () =>
    // Who has it go on here means this, whatever the pace of the page.
    view.isPaused ? feed.release("pace", "person") : feed.hold("person");
  usePauseKey(toggle);
  const shown = held ?? view;
  const rows = shown.rows.map((row) => asRow(row, isPattern(look.topic)));
  const more = held ? view.seenCount - held.seenCount : 0;
  return (
    <div className="space-y-2">
      <div className="flex flex-wrap items-center gap-2">
        <Button onClick={toggle}>
          {view.isPaused ? (
            <Play aria-hidden className="size-4" />
          ) : (
            <Pause aria-hidden className="size-4" />
          )}
          {view.isPaused ? "Go on" : "Pause"}
        </Button>
        {view.isPaused ? (
          <span className="text-info">Paused</span>
        ) : (
          <LiveBadge machine={view.machine} />
        )}
        {held && (
          <Button onClick={() => setHeld(null)}>
            <ArrowUp aria-hidden className="size-4" />{" "}
            {more > 0 ? `${count(more)} new` : "To the newest"}
          </Button>
        )}
        <Problem feed={feed} view={view} />
        <Summary seenCount={view.seenCount} />
      </div>
      <MessageRows
        footer={<Footer view={view} />}
        isHeld={held !== null}
        label="Live messages"
        onHold={(hold) => setHeld(hold ? (held ?? view) : null)}
        openId={look.msg}
        rows={rows}
      />
      {rows.length === 0 && view.machine.state === "open" && !view.problem && (
        <Empty title="Nothing was published yet since this is followed">
          It is shown here in the moment in which it is.
        </Empty>
      )}
    </div>
  );
}

const SAID_EVERY_MS = 10_000;

/** For who hears the page: how many came, now and then. Each of them would be a flood. */
function Summary({ seenCount }: { readonly seenCount: number }) {
  const latest = useRef(seenCount);
  latest.current = seenCount;
  const [said, setSaid] = useState("");
  useEffect(() => {
    let before = latest.current;
    const timer = setInterval(() => {
      if (latest.current > before) setSaid(counted(latest.current - before, "new message"));
      before = latest.current;
    }, SAID_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className="sr-only" role="status">
      {said}
    </span>
  );
}

function Problem({ feed, view }: { readonly feed: TailFeed; readonly view: TailView }) {
  if (!view.problem && view.machine.state !== "refused") return null;
  const again = () => {
    feed.stop();
    feed.start();
  };
  return (
    <p className="flex flex-wrap items-center gap-2 text-bad" role="alert">
      {view.problem
        ? `It cannot be followed: ${foreign(view.problem.message)} (${view.problem.code})`
        : `It cannot be followed: ${view.machine.reason}`}
      <Button onClick={again}>Try again</Button>
    </p>
  );
}

function Footer({ view: { rates, seenCount, shownCount } }: { readonly view: TailView }) {
  const isSampled = shownCount < seenCount;
  return (
    <>
      <span className="tabular-nums">
        {isSampled
          ? `Sampled: showing ${count(rates.shownPerS)} of ${count(rates.seenPerS)} a second`
          : `${count(rates.seenPerS)} a second`}
      </span>
      <span className="tabular-nums">
        {count(seenCount)} came{isSampled && `, ${count(shownCount)} shown`}; the last{" "}
        {count(RING_COUNT)} shown are kept
      </span>
    </>
  );
}

function asRow(row: TailRow, withTopic: boolean): Row {
  if (row.kind === "note") {
    const none = { id: null, key: undefined, payload: null, publishedAt: null, seq: null };
    return { ...none, rowKey: row.at, text: row.text };
  }
  const { key, message_id, payload, published_at, seq, topic } = row.message;
  return {
    id: message_id,
    key,
    payload,
    publishedAt: published_at,
    rowKey: row.at,
    seq,
    topic: withTopic ? topic : undefined,
  };
}

function usePauseKey(onToggle: () => void): void {
  const toggle = useEffectEvent(onToggle);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      const isOthers = target?.closest("input, textarea, select, button, summary, [role=dialog]");
      if (event.key !== " " || isOthers || !hasSingleKeys()) return;
      event.preventDefault();
      toggle();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}
