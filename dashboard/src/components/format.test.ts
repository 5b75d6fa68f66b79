import { describe, expect, it } from "vitest";
import { bytes, counted, duration, exactDuration, latency, rate, short } from "@/components/format";

describe("what people read", () => {
  it.each([
    [0, "0"],
    [0.04, "<0.1"],
    [1.25, "1.3"],
    [99.96, "100.0"],
    [1523.4, "1,523"],
    [1_234_567, "1.2M"],
  ])("a rate of %s is %s", (value, text) => {
    expect(rate(value)).toBe(text);
  });

  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [1024 ** 3, "1.0 GiB"],
    [2 ** 60, "1024 PiB"],
  ])("%s bytes are %s", (value, text) => {
    expect(bytes(value)).toBe(text);
  });

  it.each([
    [0.4219, "0.42 ms"],
    [2.31, "2.3 ms"],
    [87.6, "88 ms"],
    [3_400, "3.4 s"],
    [600_000, "10 min"],
  ])("%s milliseconds are %s", (value, text) => {
    expect(latency(value)).toBe(text);
  });

  it("a duration has the unit that one needs to know, or all of it", () => {
    expect(duration(7_300)).toBe("2 h");
    expect(duration(0.2)).toBe("0 s");
    expect(exactDuration(5_400)).toBe("90 min");
    expect(exactDuration(604_800)).toBe("7 d");
  });

  it("a number for an axis is short, and not the same for two of its lines", () => {
    expect([0, 0.5, 1].map(short)).toEqual(["0", "0.5", "1"]);
    expect(short(1_234_567)).toBe("1.2M");
  });
});

describe("one and many", () => {
  it("have words of their own", () => {
    expect(counted(1, "key")).toBe("1 key");
    expect(counted(1200, "entry", "entries")).toBe("1,200 entries");
    expect(counted(0, "key")).toBe("0 keys");
  });
});
