import { describe, expect, it } from "vitest";
import { exact, withExactPayloads } from "@/api/exact";

const read = (json: string) => JSON.parse(withExactPayloads(json));

describe("payloads", () => {
  it.each([
    "9007199254740993",
    "-123456789012345678901234567890",
    "1e400",
    "0.1000",
    '"a\\"b\\\\"',
    '"\\\\"',
    "null",
    "true",
    '{"a":[1,{"payload":2}], "payload" : "}"}',
    "[[],{}]",
    '{ "spaces" : [ 1 , 2 ] }',
    '"\\ud83d\\ude00"',
  ])("come out as they went in: %s", (payload) => {
    const one = read(`{"seq":1,"payload":${payload},"key":"k"}`);
    expect(one.payload).toEqual(exact(payload));
    expect(one.key).toBe("k");
    const list = read(`{"messages": [{"payload": ${payload} }, {"payload":1}], "next":null}`);
    expect(list.messages.map((each: { payload: { text: string } }) => each.payload.text)).toEqual([
      payload,
      "1",
    ]);
    expect(list.next).toBeNull();
  });

  it("are cut where only their beginning is wanted, and say how large they are", () => {
    const json = `{"payload":"${"é".repeat(100)}"}`;
    expect(JSON.parse(withExactPayloads(json, 10)).payload).toEqual({
      bytes: 202,
      is_cut: true,
      text: `"${"é".repeat(9)}`,
    });
  });

  it("of something else are not looked for", () => {
    const json = '{"headers":{"payload":"x"},"list":["payload",1]}';
    expect(withExactPayloads(json)).toBe(json);
  });

  it.each(["", "<html>", '{"a', '{"payload":', "[1,2", '{"payload":{"a":1}'])(
    "of what is no JSON are left alone: %s",
    (text) => {
      expect(() => JSON.parse(withExactPayloads(text))).toThrow();
    },
  );
});
