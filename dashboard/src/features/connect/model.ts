// The same few acts as one types them in different places. Keys are named, never shown.

import {
  baseOf,
  commandFlags,
  curlFlags,
  needsFrame,
  type Place,
  pythonFlags,
  scriptSocket,
} from "@/features/connect/acts";

export interface Target extends Place {
  /** Where it may be that nobody has made the topic yet, each example works all the same. */
  readonly isNew: boolean;
  readonly topic: string;
}

export interface Example {
  readonly label: string;
  readonly text: string;
}

export function examples(target: Target): Example[] {
  const { isNew, topic } = target;
  const base = baseOf(target);
  const post = `${curlFlags(target)} \\\n  -H "Content-Type: application/json" \\\n  -d`;
  const create = `curl ${base}/api/topics${post} '{"name": "${topic}"}'\n\n`;
  const flags = commandFlags(target);
  return [
    {
      label: isNew ? "curl: create the topic, once, then publish" : "curl: publish",
      text: `${isNew ? create : ""}curl ${base}/api/publish${post} '{"topic": "${topic}", "payload": {"hello": "world"}}'`,
    },
    {
      label: "Command line: publish, then subscribe from the first message on",
      text: `conduit pub ${topic} '{"hello": "world"}'${isNew ? " --create" : ""}${flags}\nconduit sub ${topic} --from earliest${flags}`,
    },
    { label: "Python", text: python(target) },
    { label: "TypeScript, in a browser or Node.js", text: script(target) },
  ];
}

function python(target: Target): string {
  const { hasAuth, topic } = target;
  return `import asyncio
${hasAuth ? "import os\n" : ""}
from conduit.client import AsyncConduit


async def main() -> None:
    async with AsyncConduit("${baseOf(target)}"${pythonFlags(target)}) as client:
        async with client.subscribe("${topic}") as stream:  # creates the topic, if need be
            await client.publish("${topic}", {"hello": "world"})
            async for delivery in stream:
                print(delivery.payload)
                await delivery.ack()


asyncio.run(main())`;
}

function script(target: Target): string {
  const auth = needsFrame(target)
    ? `  socket.send(JSON.stringify({ type: "auth", token: key }));\n`
    : "";
  return `${scriptSocket(target)}
socket.onopen = () => {
${auth}  socket.send(JSON.stringify({ type: "subscribe", topic: "${target.topic}" }));
};
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type !== "message") return;
  console.log(frame.payload);
  socket.send(JSON.stringify({ type: "ack", message_id: frame.message_id }));
};`;
}
