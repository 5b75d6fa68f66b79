import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { foreign } from "@/components/foreign";
import { count, counted } from "@/components/format";
import { Empty, Failure, Loading, Stale } from "@/components/states";
import type { Look } from "@/features/messages/look";
import { MessageRows, type Row } from "@/features/messages/MessageRows";
import { Allowed } from "@/features/signin/Allowed";
import { type Letter, topicLettersQuery } from "@/services/messages";
import { useReasonAgainst } from "@/services/server";

/** The dead letters of a topic, as messages. */
export function Dead({ look }: { readonly look: Look }) {
  return (
    <Allowed reason={useReasonAgainst("manage", look.topic)}>
      <Letters look={look} />
    </Allowed>
  );
}

function Letters({ look }: { readonly look: Look }) {
  const list = useInfiniteQuery(topicLettersQuery(look.topic));
  if (list.isPending) return <Loading rows={8} what="dead letters" />;
  if (list.isError && !list.data) {
    return <Failure error={list.error} onRetry={list.refetch} what="Dead letters are not listed" />;
  }
  const letters = (list.data?.pages ?? []).flatMap((page) => page.dead_letters);
  const rows = letters.map(rowOf);
  const redrivenCount = letters.filter(({ redriven_at }) => redriven_at !== null).length;
  if (rows.length === 0) return <Empty title="Nothing is dead. Good." />;
  const isAllRedriven = redrivenCount === rows.length && !list.hasNextPage;
  return (
    <div className="space-y-2">
      <p className="text-dim">
        They are redriven or discarded on the page of{" "}
        <Link
          className="text-accent underline underline-offset-2"
          search={{ topic: look.topic, ...(isAllRedriven && { show: "all" as const }) }}
          to="/dead-letters"
        >
          dead letters of this topic
        </Link>
        .
      </p>
      <MessageRows
        footer={
          <>
            {counted(rows.length, "dead letter")}
            {redrivenCount > 0 && `, ${count(redrivenCount)} of them redriven since`}
            {list.hasNextPage && ", and more"}
            {list.isError && <Stale error={list.error} />}
          </>
        }
        label="Dead letters"
        list={list}
        openId={look.msg}
        rows={rows}
      />
    </div>
  );
}

function rowOf(letter: Letter): Row {
  return {
    id: letter.payload_lost ? null : letter.message_id,
    key: letter.key,
    mark: letter.redriven_at === null ? undefined : "redriven",
    payload: letter.payload_lost ? null : letter.payload,
    publishedAt: letter.published_at,
    rowKey: letter.id,
    seq: letter.seq,
    topic: `${letter.subscription ?? "not durable"}: ${foreign(letter.reason)}`,
    ...(letter.payload_lost && { text: "retention has removed the message" }),
  };
}
