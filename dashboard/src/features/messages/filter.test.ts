import { describe, expect, it } from "vitest";
import { isSearch, parseFilter, wanted, without } from "@/features/messages/filter";

const ID = "01a20504-8136-7409-921c-922a64369347";

describe("what is looked for", () => {
  it("is text where it is no token", () => {
    expect(parseFilter("card declined").contains).toBe("card declined");
    expect(parseFilter('"amount": 5').contains).toBe('"amount": 5');
    expect(parseFilter('"key:a"').contains).toBe("key:a");
    expect(parseFilter('"a \\"b\\"').contains).toBe('a "b"');
    expect(parseFilter("foo:bar").contains).toBe("foo:bar");
  });

  it("is found by number, time, key, header and id", () => {
    expect(parseFilter("seq:1200 key:a header.trace:7f3a header.x:y")).toMatchObject({
      contains: null,
      fromSeq: 1200,
      headers: [
        ["trace", "7f3a"],
        ["x", "y"],
      ],
      key: "a",
      problems: [],
    });
    expect(parseFilter('key:"a b"').key).toBe("a b");
    expect(parseFilter(`id:${ID}`).id).toBe(ID);
    expect(parseFilter(ID.toUpperCase()).id).toBe(ID);
    expect(parseFilter("after:-15m before:-30s")).toMatchObject({
      fromTime: { agoMs: 900_000 },
      toTime: { agoMs: 30_000 },
    });
    expect(parseFilter("after:2026-11-30T10:00Z").fromTime).toEqual({
      at: "2026-11-30T10:00:00.000Z",
    });
    expect(parseFilter("before:2026-11-30T10:00+02:00").toTime).toEqual({
      at: "2026-11-30T08:00:00.000Z",
    });
    expect(parseFilter("state:dead")).toMatchObject({ isDead: true, problems: [] });
  });

  it.each([
    "seq:abc",
    "seq:",
    "seq:-1",
    "seq:9007199254740993",
    "after:yesterday",
    "after:2026-11-30",
    "id:7",
    "state:acked",
    "state:dead declined",
    "x".repeat(256),
  ])("says what it does not understand: %s", (text) => {
    expect(parseFilter(text).problems).toHaveLength(1);
  });

  it("is a search where there is no index", () => {
    const all = ["declined", "key:a", "header.a:b", "seq:1", "after:-1h", ""];
    expect(all.map((text) => isSearch(parseFilter(text)))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it("loses one token at a time", () => {
    const filter = parseFilter('key:a "x y" key:a');
    expect(filter.tokens).toEqual(["key:a", '"x y"', "key:a"]);
    expect(without(filter, "key:a")).toBe('"x y" key:a');
  });

  it("asks for what was typed and nothing else", () => {
    expect(wanted(parseFilter(""), "desc")).toEqual({ headers: [], order: "desc" });
    expect(wanted(parseFilter("seq:3 a"), "asc")).toEqual({
      contains: "a",
      fromSeq: 3,
      headers: [],
      order: "asc",
    });
  });
});
