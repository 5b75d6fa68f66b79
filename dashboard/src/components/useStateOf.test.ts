import { act, renderHook } from "@testing-library/react";
import { expect, it } from "vitest";
import { useStateOf } from "@/components/useStateOf";

it("state of a subject is gone with it, and is not set by what is late", () => {
  const shown = renderHook(({ of }) => useStateOf(of, "nothing"), { initialProps: { of: "a" } });
  const setOfA = shown.result.current[1];
  act(() => setOfA("a dialog"));
  expect(shown.result.current[0]).toBe("a dialog");
  shown.rerender({ of: "b" });
  expect(shown.result.current[0]).toBe("nothing");
  act(() => setOfA("late"));
  expect(shown.result.current[0]).toBe("nothing");
  shown.rerender({ of: "a" });
  expect(shown.result.current[0]).toBe("nothing");
});
