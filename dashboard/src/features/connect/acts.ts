// Publishing and subscribing as one types it elsewhere: the same topic, the same payload to the character. Keys are named,
// never shown.

import type { Example } from "@/features/connect/model";

export interface Place {
  readonly hasAuth: boolean;
  /** Whom an operator looks after; null: the key's own. */
  readonly tenant: string | null;
  /** Of the server, with or without a slash at its end. */
  readonly url: string;
}

export interface PublishAct {
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string;
  /** JSON text. */
  readonly payload: string;
  readonly topic: string;
}

export interface SubscribeAct {
  readonly ack: "auto" | "explicit";
  /** The time of the first attempt; not of a durable one, which keeps its own. */
  readonly ackWaitMs?: number;
  /** `new`, `earliest`, a number, or a time. */
  readonly start: string;
  /** Empty: not durable. */
  readonly subscription: string;
  readonly topic: string;
  /** Unacked at once. */
  readonly windowCount?: number;
}

export function publishActs(act: PublishAct, place: Place): Example[] {
  const { headers, key, payload, topic } = act;
  const base = baseOf(place);
  const names = Object.entries(headers);
  const body = `{"topic": ${JSON.stringify(topic)}, "payload": ${payload}${
    key ? `, "key": ${JSON.stringify(key)}` : ""
  }${names.length > 0 ? `, "headers": ${JSON.stringify(headers)}` : ""}}`;
  const flags = [
    ...(key ? [` --key ${quoted(key)}`] : []),
    ...names.map(([name, value]) => ` -H ${quoted(`${name}=${value}`)}`),
  ].join("");
  return [
    {
      label: "curl",
      text: `curl ${base}/api/publish${curlFlags(place)} \\\n  -H "Content-Type: application/json" \\\n  -d ${quoted(body)}`,
    },
    {
      label: "Command line",
      text: `conduit pub ${quoted(topic)} ${quoted(payload)}${flags}${commandFlags(place)}`,
    },
    { label: "Python", text: publishPython(act, place) },
    {
      label: "TypeScript",
      text: `${scriptKey(place)}await fetch("${base}/api/publish", {
  method: "POST",
  headers: ${scriptHeaders(place)},
  body: ${template(body)},
});`,
    },
  ];
}

function publishPython({ headers, key, payload, topic }: PublishAct, place: Place): string {
  const named = [
    ...(key ? [`key=${JSON.stringify(key)}`] : []),
    ...(Object.keys(headers).length > 0 ? [`headers=${JSON.stringify(headers)}`] : []),
  ];
  const rest = named.map((each) => `, ${each}`).join("");
  return `import asyncio
${place.hasAuth ? "import os\n" : ""}
from msgspec import Raw

from conduit.client import AsyncConduit


async def main() -> None:
    async with AsyncConduit("${baseOf(place)}"${pythonFlags(place)}) as client:
        payload = Raw(${JSON.stringify(payload)}.encode())
        await client.publish(${JSON.stringify(topic)}, payload${rest})


asyncio.run(main())`;
}

export function subscribeActs(act: SubscribeAct, place: Place): Example[] {
  const { ack, start, subscription, topic } = act;
  const base = baseOf(place);
  const bounds = boundsOf(act);
  const flags = [
    ...(subscription ? [` --subscription ${quoted(subscription)}`] : []),
    ...(start === "new" ? [] : [` --from ${quoted(start)}`]),
    ...(ack === "explicit" ? [" --ack manual"] : []),
    ...(bounds.max_in_flight ? [` --max-in-flight ${bounds.max_in_flight}`] : []),
    ...(bounds.ack_wait_ms ? [` --ack-wait ${bounds.ack_wait_ms / 1_000}s`] : []),
  ].join("");
  return [
    {
      label: "curl: what is stored",
      text: /[*>]/.test(topic)
        ? `# Nothing reads a pattern by HTTP: curl reads one topic, and a pattern is subscribed to.\n# The command line, Python and TypeScript do that.`
        : `curl ${quoted(`${base}/api/topics/${encodeURIComponent(topic)}/messages`)}${curlFlags(place)}`,
    },
    { label: "Command line", text: `conduit sub ${quoted(topic)}${flags}${commandFlags(place)}` },
    { label: "Python", text: subscribePython(act, place) },
    {
      label: "TypeScript",
      text: `${scriptSocket(place)}
const send = (frame: object) => socket.send(JSON.stringify(frame));
socket.onopen = () => {
${needsFrame(place) ? '  send({ type: "auth", token: key });\n' : ""}  send(${JSON.stringify(subscribeFrame(act))});
};
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type !== "message") return;
  console.log(frame.payload);
${ack === "explicit" ? '  send({ type: "ack", message_id: frame.message_id });\n' : ""}};`,
    },
  ];
}

/** The fields of the frame that subscribes, as the protocol has them. */
export function subscribeFrame(act: SubscribeAct) {
  const { ack, start, subscription, topic } = act;
  return {
    ...boundsOf(act),
    ack,
    topic,
    type: "subscribe",
    ...(subscription && { subscription }),
    ...(start !== "new" && { start: startOf(start) }),
  } as const;
}

interface Bounds {
  readonly ack_wait_ms?: number;
  readonly max_in_flight?: number;
  readonly prefetch?: number;
}

/** How much comes at once and for how long, as the frame has it: a durable one keeps its own settings, of which each
 * subscriber may take less. */
function boundsOf({ ackWaitMs, subscription, windowCount }: SubscribeAct): Bounds {
  if (subscription) return windowCount === undefined ? {} : { prefetch: windowCount };
  return {
    ...(ackWaitMs !== undefined && { ack_wait_ms: ackWaitMs }),
    ...(windowCount !== undefined && { max_in_flight: windowCount }),
  };
}

export function startOf(start: string) {
  if (start === "new" || start === "earliest") return start;
  return /^\d+$/.test(start) ? { seq: Number(start) } : { time: start };
}

function subscribePython(act: SubscribeAct, place: Place): string {
  const { ack, start, subscription, topic } = act;
  const from = /^\d+$/.test(start) ? start : JSON.stringify(start);
  const named = [
    ...(subscription ? [JSON.stringify(subscription)] : []),
    ...(start === "new" ? [] : [`start=${from}`]),
    ...(ack === "auto" ? ['ack="auto"'] : []),
    ...Object.entries(boundsOf(act)).map(([name, value]) => `${name}=${value}`),
  ];
  const rest = named.map((each) => `, ${each}`).join("");
  return `import asyncio
${place.hasAuth ? "import os\n" : ""}
from conduit.client import AsyncConduit


async def main() -> None:
    async with AsyncConduit("${baseOf(place)}"${pythonFlags(place)}) as client:
        async with client.subscribe(${JSON.stringify(topic)}${rest}) as stream:
            async for delivery in stream:
                print(delivery.payload)
${ack === "explicit" ? "                await delivery.ack()\n" : ""}

asyncio.run(main())`;
}

export function baseOf({ url }: Place): string {
  return url.replace(/\/$/, "");
}

export function curlFlags({ hasAuth, tenant }: Place): string {
  const key = hasAuth ? ` \\\n  -H "Authorization: Bearer $CONDUIT_API_KEY"` : "";
  return tenant === null ? key : `${key} \\\n  -H ${quoted(`X-Conduit-Tenant: ${tenant}`)}`;
}

export function commandFlags(place: Place): string {
  const url = ` --url ${baseOf(place)}`;
  return place.tenant === null ? url : `${url} --tenant ${quoted(place.tenant)}`;
}

export function pythonFlags({ hasAuth, tenant }: Place): string {
  const key = hasAuth ? `, api_key=os.environ["CONDUIT_API_KEY"]` : "";
  return tenant === null ? key : `${key}, tenant=${JSON.stringify(tenant)}`;
}

function scriptKey({ hasAuth }: Place): string {
  return hasAuth ? "const key = process.env.CONDUIT_API_KEY; // in a page: a token\n" : "";
}

function scriptHeaders({ hasAuth, tenant }: Place): string {
  const headers = [
    ...(hasAuth ? ['Authorization: "Bearer " + key'] : []),
    '"Content-Type": "application/json"',
    ...(tenant === null ? [] : [`"X-Conduit-Tenant": ${JSON.stringify(tenant)}`]),
  ];
  return `{ ${headers.join(", ")} }`;
}

/** Whether a socket says by a frame who it is: it has no header for the tenant, so with one a ticket has said it. */
export function needsFrame({ hasAuth, tenant }: Place): boolean {
  return hasAuth && tenant === null;
}

/** The socket; with a tenant, which only a request can name, by a ticket. */
export function scriptSocket(place: Place): string {
  const base = baseOf(place);
  const at = `${base.replace(/^http/, "ws")}/ws`;
  if (place.tenant === null) return `${scriptKey(place)}const socket = new WebSocket("${at}");`;
  return `${scriptKey(place)}const answer = await fetch("${base}/api/tickets", {
  method: "POST",
  headers: ${scriptHeaders(place)},
  body: "{}",
});
const { ticket } = await answer.json();
const socket = new WebSocket("${at}?ticket=" + ticket);`;
}

/** For a shell, as it is. */
export function quoted(text: string): string {
  return /^[\w.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function template(text: string): string {
  return `\`${text.replace(/[`\\]|\$(?=\{)/g, "\\$&")}\``;
}
