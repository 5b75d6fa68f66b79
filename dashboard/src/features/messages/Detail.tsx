import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Link2, Play, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useCaller } from "@/api/caller";
import { asApiError } from "@/api/errors";
import type { Headers } from "@/api/headers";
import { Button, buttonClass } from "@/components/Button";
import { Copy } from "@/components/Copy";
import { bytes } from "@/components/format";
import { Json } from "@/components/json/Json";
import { Segments } from "@/components/Segments";
import { Snippet } from "@/components/Snippet";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import { exactly } from "@/components/times";
import { publishActs } from "@/features/connect/acts";
import { usePlace } from "@/features/connect/usePlace";
import { Deliveries } from "@/features/messages/Deliveries";
import { permalink } from "@/features/messages/look";
import { setDraft } from "@/features/playground/draft";
import { type MessageDetail, messageQuery } from "@/services/messages";
import { useReasonAgainstReading } from "@/services/server";

interface DetailProps {
  readonly id: string;
}

/** One message beside the list, with all that is known of it. It takes the focus when it opens: the list has no end
 * that a keyboard could pass. */
export function Detail({ id }: DetailProps) {
  const message = useQuery(messageQuery(id));
  const isGone = message.isError && asApiError(message.error).code === "message_not_found";
  const isLimited = useReasonAgainstReading(">") !== null;
  const heading = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another message is opened
  useEffect(() => heading.current?.focus(), [id]);
  return (
    <section
      aria-label="The message"
      className="min-w-0 space-y-4 rounded-lg border border-line bg-surface p-4 lg:sticky lg:top-18 lg:max-h-[calc(100dvh-5.5rem)] lg:overflow-y-auto"
    >
      <div className="flex items-start justify-between gap-2">
        <h2 className="min-w-0 break-all font-semibold text-base" ref={heading} tabIndex={-1}>
          {message.data ? `${message.data.topic} ${message.data.seq}` : "A message"}
        </h2>
        <Link
          aria-label="Close"
          className={`${buttonClass("quiet")} -mt-1.5 -mr-2 px-2`}
          data-back
          resetScroll={false}
          search={(before: object) => ({ ...before, msg: "" })}
          to="."
        >
          <X aria-hidden className="size-4" />
        </Link>
      </div>
      {message.isPending && <Loading what="the message" />}
      {isGone && (
        <Empty title="This message is not stored">
          There never was one with this id, or it was removed: by the bounds of its topic, a purge,
          or with the topic.{isLimited && " Or it is of a topic that this key may not read."}
        </Empty>
      )}
      {message.isError && !isGone && !message.data && (
        <Failure error={message.error} onRetry={message.refetch} what="It cannot be shown" />
      )}
      {message.isError && message.data && <Stale error={message.error} />}
      {message.data && !isGone && <Found key={id} message={message.data} />}
    </section>
  );
}

function Found({ message }: { readonly message: MessageDetail }) {
  const { headers, key, message_id, payload, published_at, topic } = message;
  const { tenant } = useCaller();
  const rows: [string, string][] = [
    ["Published", exactly(published_at)],
    ["Id", message_id],
    ...(key === undefined ? [] : [["Key", key] as [string, string]]),
    ["Size", bytes(payload.bytes)],
  ];
  return (
    <>
      <div className="flex flex-wrap gap-2">
        <Copy
          label="Copy link to this message"
          shown="Copy link"
          text={permalink(topic, message_id, tenant, document.baseURI)}
        />
        <Link
          className={buttonClass("plain")}
          onClick={() =>
            setDraft({ headers: headerLines(headers), key: key ?? "", payload: payload.text })
          }
          search={{ topic }}
          to="/playground"
        >
          <Play aria-hidden className="size-4" /> Open in Playground
        </Link>
      </div>
      <dl className="divide-y divide-line">
        {rows.map(([label, value]) => (
          <div className="grid grid-cols-[6rem_1fr] gap-3 py-1.5" key={label}>
            <dt className="text-dim">{label}</dt>
            <dd className="min-w-0 whitespace-pre-line break-words">{value}</dd>
          </div>
        ))}
      </dl>
      <Payload text={payload.text} />
      {headers && headers.length > 0 && <HeaderList headers={headers} />}
      <Deliveries message={message} />
      <CopyAs message={message} />
    </>
  );
}

// More than that is shown when it is asked for: a page that draws megabytes stands still.
const SHOWN_CHARS = 256 * 1024;

function Payload({ text }: { readonly text: string }) {
  const [form, setForm] = useState<"pretty" | "raw">("pretty");
  const [all, setAll] = useState(false);
  const isLong = text.length > SHOWN_CHARS && !all;
  const shown = isLong ? text.slice(0, SHOWN_CHARS) : text;
  return (
    <div className="space-y-2">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <h3 className="font-medium">Payload</h3>
        <div className="flex items-center gap-1">
          <Segments
            chosen={form}
            label="How the payload is shown"
            onChoose={setForm}
            options={[
              ["pretty", "Pretty"],
              ["raw", "Raw"],
            ]}
          />
          <Copy label="Copy the payload" text={text} />
        </div>
      </div>
      {form === "pretty" ? (
        <Json label="Payload" text={shown} />
      ) : (
        <section
          aria-label="Payload, as it was published"
          className="max-h-[28rem] overflow-auto break-all rounded-md border border-line bg-raised p-3"
          tabIndex={0}
        >
          <pre className="whitespace-pre-wrap font-mono text-xs">{shown}</pre>
        </section>
      )}
      {isLong && <Button onClick={() => setAll(true)}>Show all of it</Button>}
    </div>
  );
}

function HeaderList({ headers }: { readonly headers: Headers }) {
  return (
    <div className="space-y-1">
      <h3 className="font-medium">Headers</h3>
      <dl className="divide-y divide-line font-mono text-xs">
        {headers.map(([name, value]) => (
          <div className="grid grid-cols-[minmax(6rem,10rem)_1fr] gap-3 py-1.5" key={name}>
            <dt className="break-all text-dim">{name}</dt>
            <dd className="min-w-0 break-all">{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function CopyAs({ message }: { readonly message: MessageDetail }) {
  const [at, setAt] = useState("0");
  const { headers = [], key = "", payload, topic } = message;
  const act = { headers: Object.fromEntries(headers), key, payload: payload.text, topic };
  const acts = publishActs(act, usePlace());
  const chosen = acts[Number(at)];
  return (
    <div className="space-y-2">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <h3 className="flex items-center gap-1 font-medium">
          <Link2 aria-hidden className="size-4" /> Publish the same from elsewhere
        </h3>
        <Segments
          chosen={at}
          label="Where"
          onChoose={setAt}
          options={acts.map(({ label }, index) => [String(index), label] as const)}
        />
      </div>
      {chosen && <Snippet label={chosen.label} text={chosen.text} />}
    </div>
  );
}

function headerLines(headers: Headers | undefined): string {
  return (headers ?? []).map(([name, value]) => `${name}: ${value}`).join("\n");
}
