import { describe, expect, it } from "vitest";
import { jsonProblem, laidOut, lines } from "@/components/json/lossless";

const pretty = (text: string) => laidOut(lines(text));

describe("JSON that is laid out", () => {
  it("keeps numbers as they were written", () => {
    for (const number of [
      "9223372036854775807",
      "9007199254740993",
      "1e400",
      "0.1000",
      "-0",
      "1E+2",
    ]) {
      expect(pretty(number)).toBe(number);
      expect(pretty(`{"a":[${number}]}`)).toBe(`{\n  "a": [\n    ${number}\n  ]\n}`);
    }
  });

  it("keeps names that come twice, and escapes", () => {
    expect(pretty('{"a":1,"a":"\\u0041\\n"}')).toBe('{\n  "a": 1,\n  "a": "\\u0041\\n"\n}');
  });

  it("writes what is empty in one line", () => {
    expect(pretty('{"a":[ ],"b":{ }}')).toBe('{\n  "a": [],\n  "b": {}\n}');
  });

  it("is the same when it is laid out again", () => {
    const once = pretty('[1,{"x":[null,true,{"y":"z"}]},[],"\\\\"]');
    expect(pretty(once)).toBe(once);
    expect(JSON.parse(once)).toEqual([1, { x: [null, true, { y: "z" }] }, [], "\\"]);
  });

  it("may be very deep", () => {
    const depth = 20_000;
    const found = lines("[".repeat(depth) + "]".repeat(depth));
    expect(found).toHaveLength(2 * depth - 1);
    expect(laidOut(found).length).toBeLessThan(200 * depth * 2);
  });

  it.each([
    ["", "A value is missing (line 1, column 1)"],
    ["{a:1}", 'A name in " is missing (line 1, column 2)'],
    ['{"a" 1}', "A colon is missing (line 1, column 6)"],
    ['{\n  "a": 1\n  "b": 2\n}', "A comma or } is missing (line 3, column 3)"],
    ["[1,]", "This is no value (line 1, column 4)"],
    ["[1", "A comma or ] is missing (line 1, column 3)"],
    ["1 2", "There is something behind the value (line 1, column 3)"],
    ["01", "There is something behind the value (line 1, column 2)"],
    ['"a', "This string has no end (line 1, column 1)"],
    ['"\\x"', "This is no string of JSON (line 1, column 1)"],
    ['"\n"', "This is no string of JSON (line 1, column 1)"],
    ["NaN", "This is no value (line 1, column 1)"],
  ])("%j is refused: %s", (text, said) => {
    expect(jsonProblem(text)?.message).toBe(said);
  });

  it("takes and refuses what JSON.parse does", () => {
    const parts = ["{", "}", "[", "]", ",", ":", '"a"', "1", "-2.5e3", "null", " ", "tru", '"'];
    let seed = 7;
    const next = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let round = 0; round < 3_000; round += 1) {
      const text = Array.from({ length: next(9) }, () => parts[next(parts.length)]).join("");
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      expect([text, jsonProblem(text) === null]).toEqual([text, isJson]);
    }
  });
});
