import { describe, expect, it } from "vitest";
import { absence, isSearch, parseFilter, wanted, without } from "@/features/messages/filter";

const ID = "01a20504-8136-7409-921c-922a64369347";

describe("what is looked for", () => {
  it("is text where it is no token", () => {
    expect(parseFilter("card declined").contains).toBe("card declined");
    expect(parseFilter('"amount": 5').contains).toBe('"amount": 5');
    expect(parseFilter('"key:a"').contains).toBe("key:a");
    expect(parseFilter('"a \\"b\\"').contains).toBe('a "b"');
    expect(parseFilter('"foo:bar"')).toMatchObject({ contains: "foo:bar", problems: [] });
    for (const text of ["https://a.b/c", "12:30", '{"a":1}', "headers", ":a"]) {
      expect(parseFilter(text)).toMatchObject({ contains: text, problems: [] });
    }
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
    "foo:bar",
    "headers.trace:7f3a",
    "header.trace",
    "header.:7f3a",
    "x".repeat(256),
  ])("says what it does not understand: %s", (text) => {
    expect(parseFilter(text).problems).toHaveLength(1);
  });

  it.each([
    ["foo:bar", 'There is no foo: to look for. As text it is looked for in quotes: "foo:bar"'],
    ['a:"b"', 'There is no a: to look for. As text it is looked for in quotes: "a:\\"b\\""'],
    [
      "header.trace",
      'header.trace has no value: header.trace:7f3a. As text it is looked for in quotes: "header.trace"',
    ],
  ])("says how what is no token is looked for as text: %s", (text, problem) => {
    expect(parseFilter(text).problems).toEqual([problem]);
    const asText = problem.slice(problem.indexOf('"'));
    expect(parseFilter(asText)).toMatchObject({ contains: text, problems: [] });
  });

  it("says that the number to begin at is not there, and why", () => {
    const topic = { first_seq: 21, last_seq: 44 };
    const said = (text: string, shown: number[] = []) => absence(parseFilter(text), topic, shown);
    for (const there of ["seq:21", "seq:44", "key:a", ""]) expect(said(there)).toBeNull();
    expect(said("seq:9999")).toContain("not published yet: the last one is 44");
    expect(said("seq:45", [45, 44])).toBeNull();
    expect(said("seq:20")).toContain("removed: the first that is stored is 21");
    expect(said("seq:0")).toContain("begin at 1");
    const purged = { first_seq: 45, last_seq: 44 };
    expect(absence(parseFilter("seq:3"), purged, [])).toContain("none is stored");
    const fresh = { first_seq: 1, last_seq: 0 };
    expect(absence(parseFilter("seq:3"), fresh, [])).toContain("nothing was published yet");
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
