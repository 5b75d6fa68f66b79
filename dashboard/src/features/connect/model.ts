// The same few acts as one types them in different places. Keys are named, never shown.

export interface Target {
  /** Of the server, with or without a slash at its end. */
  readonly url: string;
  readonly topic: string;
  readonly hasAuth: boolean;
}

export interface Example {
  readonly label: string;
  readonly text: string;
}

export function examples({ hasAuth, topic, url }: Target): Example[] {
  const base = url.replace(/\/$/, "");
  const header = hasAuth ? ` \\\n  -H "Authorization: Bearer $CONDUIT_API_KEY"` : "";
  const flag = ` --url ${base}`;
  return [
    {
      label: "curl: publish",
      text: `curl ${base}/api/publish${header} \\\n  -H "Content-Type: application/json" \\\n  -d '{"topic": "${topic}", "payload": {"hello": "world"}}'`,
    },
    {
      label: "Command line: subscribe, then publish",
      text: `conduit sub ${topic}${flag}\nconduit pub ${topic} '{"hello": "world"}'${flag}`,
    },
    { label: "Python", text: python(base, topic, hasAuth) },
    { label: "JavaScript, in a browser or Node.js", text: script(base, topic, hasAuth) },
  ];
}

function python(base: string, topic: string, hasAuth: boolean): string {
  const key = hasAuth ? `, api_key=os.environ["CONDUIT_API_KEY"]` : "";
  return `import asyncio
${hasAuth ? "import os\n" : ""}
from conduit.client import AsyncConduit


async def main() -> None:
    async with AsyncConduit("${base}"${key}) as client:
        await client.publish("${topic}", {"hello": "world"})
        async with client.subscribe("${topic}", start="earliest") as stream:
            async for delivery in stream:
                print(delivery.payload)
                await delivery.ack()


asyncio.run(main())`;
}

function script(base: string, topic: string, hasAuth: boolean): string {
  const auth = hasAuth
    ? `  socket.send(JSON.stringify({ type: "auth", token: key })); // your API key, or a token\n`
    : "";
  return `const socket = new WebSocket("${base.replace(/^http/, "ws")}/ws");
socket.onopen = () => {
${auth}  socket.send(JSON.stringify({ type: "subscribe", topic: "${topic}" }));
};
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type !== "message") return;
  console.log(frame.payload);
  socket.send(JSON.stringify({ type: "ack", message_id: frame.message_id }));
};`;
}
