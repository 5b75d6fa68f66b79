// What the server sends over a WebSocket, checked, with payloads as they were published.

import { z } from "zod";
import { Exact, withExactPayloads } from "@/api/exact";

const Ref = { ref: z.string().optional() };
const Of = { subscription: z.string().optional(), topic: z.string() };

const Frame = z.discriminatedUnion("type", [
  z.object({
    ...Of,
    attempt: z.number(),
    epoch: z.string(),
    failures: z.number().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    key: z.string().optional(),
    message_id: z.string(),
    payload: Exact,
    published_at: z.string(),
    seq: z.number(),
    type: z.literal("message"),
  }),
  z.object({
    ...Of,
    ...Ref,
    at: z.string().optional(),
    epoch: z.string().optional(),
    paused: z.boolean().optional(),
    recovered: z.boolean().optional(),
    seq: z.number().optional(),
    type: z.literal("subscribed"),
  }),
  z.object({ ...Of, ...Ref, type: z.literal("unsubscribed") }),
  z.object({
    ...Ref,
    message_id: z.string(),
    seq: z.number(),
    topic: z.string(),
    type: z.literal("published"),
  }),
  z.object({ ...Ref, message_id: z.string().optional(), type: z.literal("acked") }),
  z.object({
    ...Of,
    epoch: z.string(),
    from_seq: z.number(),
    reason: z.string(),
    to_seq: z.number().nullable(),
    type: z.literal("gap"),
  }),
  z.object({ reason: z.string(), reconnect_after_ms: z.number(), type: z.literal("closing") }),
  z.object({ type: z.literal("heartbeat_ack") }),
  z.object({
    ...Ref,
    code: z.string(),
    field: z.string().optional(),
    message: z.string(),
    message_id: z.string().optional(),
    retry_after_ms: z.number().optional(),
    type: z.literal("error"),
  }),
]);

export type ServerFrame = z.infer<typeof Frame>;
export type MessageFrame = Extract<ServerFrame, { type: "message" }>;
export type GapFrame = Extract<ServerFrame, { type: "gap" }>;
export type SubscribedFrame = Extract<ServerFrame, { type: "subscribed" }>;

/** A frame, of whose payload at most so many characters are kept; null if it is of a kind or a shape that is not
 * known here: a newer server may send such. */
export function readFrame(text: string, mostChars: number): ServerFrame | null {
  try {
    const read = Frame.safeParse(JSON.parse(withExactPayloads(text, mostChars)));
    return read.success ? read.data : null;
  } catch {
    return null;
  }
}
