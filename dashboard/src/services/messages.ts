import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { z } from "zod";
import { Exact } from "@/api/exact";
import { Headers } from "@/api/headers";
import { request } from "@/api/request";
import { DeadLetterAnswer, DeliveryAnswer, MessageAnswer } from "@/api/schema";
import { serverNow } from "@/live/serverClock";
import { polled } from "@/services/polled";

const PAGE_COUNT = 100;
// Of each payload in a list, in characters.
const PREVIEW_CHARS = 2_048;

const Kept = { headers: Headers.optional(), payload: Exact };
const Message = MessageAnswer.extend(Kept);
export type Message = z.infer<typeof Message>;

const Page = z.object({
  messages: z.array(Message),
  next: z.number().nullable(),
  scanned_to: z.number().optional(),
});
export type MessagePage = z.infer<typeof Page>;

const Detail = Message.extend({ deliveries: z.array(DeliveryAnswer), next: z.string().nullable() });
export type MessageDetail = z.infer<typeof Detail>;

const Letter = DeadLetterAnswer.extend({ ...Kept, payload: Exact });
const Letters = z.object({ dead_letters: z.array(Letter), next: z.string().nullable() });
export type Letter = z.infer<typeof Letter>;

export interface Wanted {
  readonly contains?: string;
  /** At or after, and before: RFC 3339, or how many milliseconds before the request. */
  readonly fromTime?: Moment;
  readonly toTime?: Moment;
  readonly fromSeq?: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly key?: string;
  readonly order: "asc" | "desc";
}

export type Moment = { readonly at: string } | { readonly agoMs: number };

/** Stored messages of a topic, a page at a time; nothing is consumed. Never asked for again by itself. */
export const messagesQuery = (topic: string, wanted: Wanted) =>
  infiniteQueryOptions({
    getNextPageParam: (page: MessagePage) => page.next,
    initialPageParam: wanted.fromSeq ?? null,
    queryFn: ({ pageParam, signal }) =>
      request(Page, `/api/topics/${encodeURIComponent(topic)}/messages`, {
        exactPayloads: PREVIEW_CHARS,
        query: {
          contains: wanted.contains,
          from_seq: pageParam,
          from_time: iso(wanted.fromTime),
          key: wanted.key,
          limit: PAGE_COUNT,
          order: wanted.order,
          to_time: iso(wanted.toTime),
          ...Object.fromEntries(wanted.headers.map(([name, value]) => [`header.${name}`, value])),
        },
        signal,
      }),
    queryKey: ["messages", "list", topic, wanted],
    refetchOnMount: false,
    staleTime: Number.POSITIVE_INFINITY,
  });

/** One message with all of its payload, and what became of it in each durable subscription. */
export const messageQuery = (id: string) =>
  queryOptions({
    queryFn: ({ signal }) =>
      request(Detail, `/api/messages/${encodeURIComponent(id)}`, {
        exactPayloads: Number.POSITIVE_INFINITY,
        signal,
      }),
    queryKey: ["messages", "one", id],
    refetchInterval: polled.refetchInterval,
  });

/** Dead letters of a topic, the newest first. */
export const topicLettersQuery = (topic: string) =>
  infiniteQueryOptions({
    getNextPageParam: (page: z.infer<typeof Letters>) => page.next,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      request(Letters, "/api/dlq", {
        exactPayloads: PREVIEW_CHARS,
        query: { cursor: pageParam, limit: PAGE_COUNT, topic },
        signal,
      }),
    queryKey: ["deadLetters", "topic", topic],
  });

function iso(moment: Moment | undefined): string | undefined {
  if (!moment) return undefined;
  return "at" in moment ? moment.at : new Date(serverNow() - moment.agoMs).toISOString();
}
