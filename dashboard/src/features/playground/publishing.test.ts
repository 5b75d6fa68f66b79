import { describe, expect, it } from "vitest";
import {
  bounded,
  differences,
  draftProblems,
  dueCount,
  filled,
  filledIn,
  filling,
  numberProblem,
  parseHeaders,
  publishFrame,
  SAMPLE,
  UNANSWERED_MAX_COUNT,
  whatToMend,
} from "@/features/playground/publishing";

const draft = (payload: string, headers = "") => ({ headers, key: "", payload });

describe("a draft", () => {
  it("has its templates filled in, and leaves other braces alone", () => {
    expect(filled('{"n":{{seq}},"o":{{ seq }},"x":"{{what}}"}', SAMPLE)).toBe(
      '{"n":1,"o":1,"x":"{{what}}"}',
    );
    const { headers, key } = filledIn(
      { headers: "trace: {{uuid}}", key: "k{{seq}}", payload: "1" },
      { ...SAMPLE, seq: "7" },
    );
    expect([headers, key]).toEqual([{ trace: SAMPLE.uuid }, "k7"]);
  });

  it("gets another id each time", () => {
    const made = new Set(Array.from({ length: 100 }, (_, at) => filling(at).uuid));
    expect(made.size).toBe(100);
    for (const each of made) {
      expect(each).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it.each(['{"n":{{seq}}}', '"{{uuid}}"', "1e400", "null", " [1] "])("may be %s", (payload) => {
    expect(draftProblems(draft(payload)).payload).toBeNull();
  });

  it.each(["", "{{uuid}}", '{"n":{{nr}}}', "{'a':1}"])("may not be %s", (payload) => {
    expect(draftProblems(draft(payload)).payload).not.toBeNull();
  });

  it("says which line is no header", () => {
    expect(parseHeaders("a: 1\n\n b : x: y")).toEqual({
      headers: { a: "1", b: "x: y" },
      problem: null,
    });
    expect(Object.entries(parseHeaders("__proto__: 1").headers)).toEqual([["__proto__", "1"]]);
    expect(draftProblems(draft("1", "trace")).headers).toContain("“trace”");
    expect(whatToMend(draft("1", "trace=7f3a"))).toBe("Mend the headers first");
    expect(whatToMend(draft("{", "trace=7f3a"))).toBe("Mend the payload first");
    expect(whatToMend(draft("1", "trace: 7f3a"))).toBeNull();
    expect(whatToMend(draft("1", "trace: {{nope}}"))).toBe("Mend the headers first");
    expect(whatToMend({ ...draft("1"), key: "{{nope}}" })).toBe("Mend the key first");
  });
});

it("the frame has the payload to the character", () => {
  const act = { headers: { a: "b" }, key: "k", payload: '{"n": 9007199254740993, "x": 1e400}' };
  expect(publishFrame("t", act, "r")).toBe(
    '{"type":"publish","topic":"t","payload":{"n": 9007199254740993, "x": 1e400},"key":"k","headers":{"a":"b"},"ref":"r"}',
  );
});

describe("many", () => {
  const batch = { answered: 0, perS: 10, sent: 0, startedAt: 0, total: 100 };

  it("are due by the clock, the first at once", () => {
    expect(dueCount(batch, 0)).toBe(1);
    expect(dueCount({ ...batch, sent: 1 }, 50)).toBe(0);
    expect(dueCount({ ...batch, sent: 1 }, 500)).toBe(5);
    expect(dueCount({ ...batch, sent: 98 }, 60_000)).toBe(2);
    expect(dueCount({ ...batch, sent: 100 }, 60_000)).toBe(0);
  });

  it("wait where too many are not answered", () => {
    const fast = { ...batch, perS: 500, sent: 150, total: 10_000 };
    expect(dueCount(fast, 60_000)).toBe(UNANSWERED_MAX_COUNT - 150);
    expect(dueCount({ ...fast, answered: 150 }, 60_000)).toBe(UNANSWERED_MAX_COUNT);
  });

  it.each([
    ["", 1],
    ["-3", 1],
    ["x", 1],
    ["2.9", 2],
    ["99999", 500],
  ])("typed as %j are %s", (text, number) => expect(bounded(text, 500)).toBe(number));

  it.each(["", "-3", "x", "2.9", "0", "501"])("are not taken as %j", (text) => {
    expect(numberProblem(text, 500)).toBe("A whole number from 1 to 500");
    expect(numberProblem("500", 500)).toBeNull();
  });
});

describe("what a single command does not do", () => {
  const draft = { headers: "", key: "", payload: '{"n": 1}' };

  it("is nothing for one message without templates", () => {
    expect(differences(draft, 1, 10)).toBeNull();
  });

  it("is said of a line that is no header, which is left out", () => {
    expect(differences({ ...draft, headers: "trace=7f3a" }, 1, 10)).toContain(
      "such as trace: 7f3a, not “trace=7f3a”",
    );
  });

  it("is to fill in templates, and to repeat", () => {
    expect(differences({ ...draft, headers: "trace: {{uuid}}" }, 200, 10)).toBe(
      "Filled in as an example, the same each time: {{uuid}}. It publishes one message; the page publishes 200, of which 10 a second.",
    );
  });
});
