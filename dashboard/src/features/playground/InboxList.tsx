import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useState } from "react";
import { Badge } from "@/components/Badge";
import { Button } from "@/components/Button";
import { Json } from "@/components/json/Json";
import { GONE, Meanwhile } from "@/components/Meanwhile";
import { Modal } from "@/components/Modal";
import type { Tone } from "@/components/stateColours";
import { Clock } from "@/components/Time";
import { useStill } from "@/components/useStill";
import { type Item, type ItemState, idOf, type Verb } from "@/features/playground/inbox";
import type { Session, SessionView } from "@/features/playground/session";

interface InboxListProps {
  readonly session: Session;
  readonly view: SessionView;
}

const LOOK: Readonly<Record<ItemState, readonly [Tone, string]>> = {
  acked: ["ok", "acked"],
  asked: ["idle", "asked"],
  auto: ["ok", "acked"],
  late: ["warn", "too late"],
  nacked: ["warn", "nacked"],
  out: ["info", "in flight"],
  rejected: ["bad", "rejected"],
};
const EMPTY: Readonly<Record<SessionView["following"], string>> = {
  asking: "Subscribing…",
  none: "Nothing is subscribed to.",
  on: "Nothing has come yet: publish something.",
  unasked: "It is subscribed to when there is a connection.",
  waiting: "It is tried again in a moment.",
};
const VERBS: readonly (readonly [Verb, string])[] = [
  ["ack", "Ack"],
  ["nack", "Nack"],
  ["reject", "Reject"],
];
const ROW_PX = 68;
const LINE_CHARS = 300;
const LINK = "min-w-6 truncate py-1 font-medium underline-offset-2 hover:underline";
// This page has a connection, and what came over it: where a row leads to opens beside it.
const BESIDE = { rel: "noopener", target: "_blank" } as const;

const keyOf = ({ message }: Item) => idOf(message);

/** What came, the newest first, and what can be done with it. */
export function InboxList({ session, view }: InboxListProps) {
  const still = useStill(view.items, keyOf);
  const [opened, setOpened] = useState<Item | null>(null);
  const virtual = useVirtualizer({
    count: still.rows.length,
    estimateSize: () => ROW_PX,
    getScrollElement: () => still.scroller.current,
    overscan: 4,
  });
  if (view.items.length === 0) {
    return (
      <p className="rounded-lg border border-line border-dashed px-4 py-8 text-center text-dim">
        {EMPTY[view.following]}
      </p>
    );
  }
  return (
    <div {...still.hold}>
      <section
        aria-label="Messages that came"
        className="h-80 overflow-y-auto rounded-lg border border-line bg-surface"
        ref={still.scroller}
        tabIndex={0}
      >
        <ul className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, start }) => {
            const item = still.rows[index];
            return (
              item && (
                <li
                  className={`absolute inset-x-0 top-0 h-17 overflow-hidden border-line border-b px-3 py-1.5 ${still.gone.has(keyOf(item)) ? GONE : ""}`}
                  key={keyOf(item)}
                  style={{ transform: `translateY(${start}px)` }}
                >
                  <Came
                    item={item}
                    onAct={(verb) => session.act(item, verb)}
                    onOpen={() => setOpened(item)}
                  />
                </li>
              )
            );
          })}
        </ul>
      </section>
      <p aria-live="polite" className="min-h-10 pt-1 text-dim text-xs">
        <Meanwhile gone={still.gone} newCount={still.newCount} onShow={still.show} />
      </p>
      {opened && <Payload item={opened} onClose={() => setOpened(null)} />}
    </div>
  );
}

interface CameProps {
  readonly item: Item;
  readonly onAct: (verb: Verb) => void;
  readonly onOpen: () => void;
}

function Payload({ item, onClose }: { readonly item: Item; readonly onClose: () => void }) {
  const { message_id, payload, seq, topic } = item.message;
  return (
    <Modal onClose={onClose} open title={`Payload of ${topic} ${seq}`}>
      <Json label="Payload" text={payload.text} />
      {payload.is_cut && (
        <p className="mt-2 text-dim">
          This is its beginning: all of it is on{" "}
          <Link
            className="text-accent underline underline-offset-2"
            search={{ msg: message_id, topic }}
            to="/messages"
            {...BESIDE}
          >
            the message's page
          </Link>
          .
        </p>
      )}
    </Modal>
  );
}

function Came({ item: { message, problem, state }, onAct, onOpen }: CameProps) {
  const [tone, label] = LOOK[state];
  const { attempt, message_id, payload, published_at, seq, subscription = "", topic } = message;
  const isOut = state === "out";
  const standing = (
    <Badge title={problem ?? undefined} tone={tone}>
      {label}
      {attempt > 1 && `, attempt ${attempt}`}
    </Badge>
  );
  return (
    <>
      <div className="flex h-8 items-center gap-2 text-xs">
        <Link
          aria-label={`Message ${topic} ${seq}`}
          className={`${LINK} shrink-0`}
          search={{ msg: message_id, topic }}
          to="/messages"
          {...BESIDE}
        >
          {seq}
        </Link>
        <Link
          aria-label={`Topic ${topic}`}
          className={LINK}
          params={{ name: topic }}
          to="/topics/$name"
          {...BESIDE}
        >
          {topic}
        </Link>
        <span className="text-dim tabular-nums max-sm:hidden">
          <Clock at={published_at} now={Date.now()} />
        </span>
        <span className={isOut ? "max-sm:hidden" : ""}>{standing}</span>
        {state === "rejected" && (
          <Link
            className="whitespace-nowrap text-accent underline underline-offset-2"
            search={{ subscription, topic }}
            to="/dead-letters"
            {...BESIDE}
          >
            Dead letter
          </Link>
        )}
        <span className="ml-auto flex shrink-0 gap-1">
          {isOut &&
            VERBS.map(([verb, text]) => (
              <Button
                aria-label={`${text} ${topic} ${seq}`}
                className="min-h-7 px-2 py-0"
                key={verb}
                onClick={() => onAct(verb)}
              >
                {text}
              </Button>
            ))}
        </span>
      </div>
      <div className="flex items-center gap-2">
        {/* Where it is narrow the buttons take its place. */}
        {isOut && <span className="shrink-0 sm:hidden">{standing}</span>}
        <button
          className="min-h-6 min-w-0 flex-1 cursor-pointer truncate text-left font-mono text-xs hover:underline"
          onClick={onOpen}
          title="Open the payload"
          type="button"
        >
          {payload.text.slice(0, LINE_CHARS)}
        </button>
      </div>
    </>
  );
}
