import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { RotateCcw, Trash2, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button, buttonClass } from "@/components/Button";
import { Copy } from "@/components/Copy";
import { Facts } from "@/components/Facts";
import { foreign } from "@/components/foreign";
import { bytes, count } from "@/components/format";
import { Json } from "@/components/json/Json";
import { Reason } from "@/components/Reason";
import { Segments } from "@/components/Segments";
import { Empty, Failure, Loading } from "@/components/states";
import { Time } from "@/components/Time";
import type { Act } from "@/features/deadLetters/acts";
import { Mark } from "@/features/deadLetters/LetterTable";
import { Deliveries } from "@/features/messages/Deliveries";
import { isGone, type Letter, letterQuery } from "@/services/deadLetters";
import { messageQuery } from "@/services/messages";
import { useReasonAgainstWhole } from "@/services/server";

interface LetterDetailProps {
  readonly id: string;
  readonly onAct: (act: Act, letter: Letter) => void;
  readonly unable: string | null;
}

/** One dead letter, beside the list. It takes the focus when it opens. */
export function LetterDetail({ id, onAct, unable }: LetterDetailProps) {
  const letter = useQuery(letterQuery(id));
  const isMissing = !letter.data && isGone(letter.error);
  const isLimited = useReasonAgainstWhole() !== null;
  const heading = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another letter is opened
  useEffect(() => heading.current?.focus(), [id]);
  return (
    <section
      aria-labelledby="letter"
      className="min-w-0 space-y-4 rounded-lg border border-line bg-surface p-4"
    >
      <div className="flex items-start justify-between gap-2">
        <h2 className="min-w-0 break-words font-semibold" id="letter" ref={heading} tabIndex={-1}>
          {letter.data ? `${letter.data.topic} #${letter.data.seq}` : "Dead letter"}
        </h2>
        <Link
          aria-label="Close"
          className={`${buttonClass("quiet")} -mt-1.5 -mr-2 px-2`}
          data-back
          resetScroll={false}
          search={(before) => ({ ...before, letter: undefined })}
          to="/dead-letters"
        >
          <X aria-hidden className="size-4" />
        </Link>
      </div>
      {letter.isPending && <Loading rows={6} what="the dead letter" />}
      {isMissing && (
        <Empty title="This dead letter is not there">
          There never was one with this id, or it was discarded or dropped.
          {isLimited && " Or it is of a topic that this key may not manage."}
        </Empty>
      )}
      {letter.isError && !letter.data && !isMissing && (
        <Failure error={letter.error} onRetry={letter.refetch} what="It cannot be shown" />
      )}
      {letter.data && (
        <Shown hasGone={isGone(letter.error)} letter={letter.data} onAct={onAct} unable={unable} />
      )}
    </section>
  );
}

interface ShownProps {
  readonly hasGone: boolean;
  readonly letter: Letter;
  readonly onAct: (act: Act, letter: Letter) => void;
  readonly unable: string | null;
}

function Shown({ hasGone, letter, onAct, unable }: ShownProps) {
  return (
    <>
      {hasGone ? (
        <p className="text-warn" role="status">
          This dead letter is gone: it was discarded elsewhere, or dropped. Below is what was seen
          of it last.
        </p>
      ) : (
        <Acts letter={letter} onAct={onAct} unable={unable} />
      )}
      <Facts rows={facts(letter)} />
      {!letter.payload_lost && <Payload letter={letter} />}
      {letter.message_id && <Elsewhere messageId={letter.message_id} />}
    </>
  );
}

function Acts({ letter, onAct, unable }: Omit<ShownProps, "hasGone">) {
  const lost = letter.payload_lost
    ? "The log had lost the message: there is nothing to deliver"
    : null;
  return (
    <div className="flex flex-wrap items-center gap-2">
      <Button
        data-redrive
        look="primary"
        onClick={() => onAct("redrive", letter)}
        title="r"
        unable={unable ?? lost}
      >
        <RotateCcw aria-hidden className="size-4" /> Redrive…
      </Button>
      <Button onClick={() => onAct("discard", letter)} unable={unable}>
        <Trash2 aria-hidden className="size-4 text-bad" /> Discard…
      </Button>
      <Mark letter={letter} />
      <Reason text={unable ?? lost} />
    </div>
  );
}

function facts(letter: Letter): [string, React.ReactNode][] {
  const { headers, key, message_id, published_at, redriven_at, subscription } = letter;
  const link = "break-all text-accent underline";
  return [
    [
      "Topic",
      <Link
        className={link}
        key="topic"
        params={{ name: letter.topic }}
        search={{}}
        to="/topics/$name"
      >
        {letter.topic}
      </Link>,
    ],
    ["Reason", letter.reason],
    ["Attempts", count(letter.attempts)],
    [
      "Subscription",
      subscription === null ? (
        "none: its subscriber was not durable. A redrive publishes it anew"
      ) : (
        <Link
          className="text-accent underline"
          key="subscription"
          params={{ name: subscription }}
          to="/subscriptions/$name"
        >
          {subscription}
        </Link>
      ),
    ],
    ["Died", <Time at={letter.died_at} key="died" />],
    ["Redriven", redriven_at ? <Time at={redriven_at} key="redriven" /> : "not since it died"],
    ...(published_at ? ([["Published", <Time at={published_at} key="published" />]] as const) : []),
    ...(key === undefined ? [] : ([["Key", key]] as const)),
    ...(headers ?? []).map(([name, value]) => [`Header ${name}`, value] as const),
    ...(message_id
      ? ([
          [
            "Message",
            <Link
              className={`${link} font-mono`}
              key="message"
              search={{ msg: message_id, topic: letter.topic }}
              to="/messages"
            >
              {message_id}
            </Link>,
          ],
        ] as const)
      : []),
  ].map(([label, value]) => [label as string, value as React.ReactNode]);
}

const FORMS = [
  ["pretty", "Pretty"],
  ["raw", "Raw"],
] as const;

function Payload({ letter }: { readonly letter: Letter }) {
  const [form, setForm] = useState<"pretty" | "raw">("pretty");
  const { text } = letter.payload;
  return (
    <div className="space-y-2">
      <div className="flex flex-wrap items-center gap-1">
        <h3 className="mr-2 font-medium">Payload</h3>
        <Segments
          chosen={form}
          label="How the payload is shown"
          onChoose={setForm}
          options={FORMS}
        />
        <span className="ml-auto text-dim text-xs">{bytes(letter.payload.bytes)}</span>
        <Copy label="Copy the payload" text={text} />
      </div>
      {form === "raw" ? (
        <pre
          className="max-h-[28rem] overflow-auto whitespace-pre-wrap break-all rounded-md border border-line bg-raised p-3 font-mono text-xs"
          tabIndex={0}
        >
          {text}
        </pre>
      ) : (
        <Json label="Payload" text={text} />
      )}
    </div>
  );
}

/** Its message in all durable subscriptions: whether only this one has failed on it. */
function Elsewhere({ messageId }: { readonly messageId: string }) {
  const message = useQuery(messageQuery(messageId));
  if (message.isError && !message.data) {
    return (
      <p className="text-dim text-xs">
        What became of it elsewhere: {foreign(message.error.message)}.
      </p>
    );
  }
  return message.data && <Deliveries message={message.data} />;
}
