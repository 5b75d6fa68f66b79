import { act, renderHook } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { edited, overlaid, overtaken, useEdits } from "@/components/useEdits";

const before = { age: "7 d", count: "100", size: "" };
const typed = edited(before, {}, { ...before, size: "1 GiB" });

describe("a form for what others change too", () => {
  it("shows what is there where nothing was typed, and so saves nothing of it", () => {
    const there = { ...before, count: "500" };
    expect(overlaid(there, typed)).toEqual({ ...there, size: "1 GiB" });
    expect(overtaken(there, typed)).toEqual([]);
  });

  it("tells which of what was typed somebody else has changed meanwhile", () => {
    const there = { ...before, size: "2 GiB" };
    expect(overlaid(there, typed).size).toBe("1 GiB");
    expect(overtaken(there, typed)).toEqual(["size"]);
    const again = edited(there, typed, { ...there, size: "3 GiB" });
    expect(overtaken(there, again)).toEqual(["size"]);
    expect(overtaken({ ...before, size: "3 GiB" }, again)).toEqual([]);
  });

  it("is of the one for which it was typed, until it is undone", () => {
    const { rerender, result } = renderHook(({ mark }) => useEdits(before, mark), {
      initialProps: { mark: "first" },
    });
    rerender({ mark: "second" });
    expect(result.current).toMatchObject({ isOfAnother: false, meant: "second" });
    for (const size of ["1 GiB", "2 GiB"]) {
      act(() => result.current.change({ ...before, size }));
      rerender({ mark: "third" });
      expect(result.current).toMatchObject({ isOfAnother: true, meant: "second" });
    }
    act(() => result.current.undo());
    expect(result.current).toMatchObject({ isOfAnother: false, meant: "third" });
  });

  it("has nothing to undo once all is as it is there", () => {
    expect(edited(before, typed, before)).toEqual({});
    expect(
      overlaid({ end: null, on: 0 }, edited({ end: null, on: 0 }, {}, { end: null, on: 1 })),
    ).toEqual({ end: null, on: 1 });
  });
});
