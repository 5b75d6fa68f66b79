import { act, renderHook } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { type Pages, useMore } from "@/components/More";

it("asks for the next page once as the end comes near, and after a failure when the end was left or it is told to", async () => {
  const error = new Error("no");
  let hasFailed = true;
  const fetchNextPage = vi.fn(async () => ({ error, isFetchNextPageError: hasFailed }));
  const list = (next: string, isFetching = false): Pages => ({
    data: { pages: [{ next }] },
    fetchNextPage,
    hasNextPage: true,
    isFetching,
    isFetchingNextPage: false,
  });
  const { rerender, result } = renderHook(({ isNear, of }) => useMore(of, isNear), {
    initialProps: { isNear: false, of: list("a") },
  });
  // Lets what was answered come.
  const shown = (isNear: boolean, of: Pages) => act(async () => rerender({ isNear, of }));
  const askedCount = () => fetchNextPage.mock.calls.length;
  expect(askedCount()).toBe(0);
  await shown(true, list("a"));
  for (const isFetching of [true, false, true, false]) await shown(true, list("a", isFetching));
  expect([askedCount(), result.current.failure]).toEqual([1, error]);
  await shown(false, list("a"));
  await shown(true, list("a"));
  expect(askedCount()).toBe(2);
  hasFailed = false;
  await act(async () => result.current.ask());
  expect([askedCount(), result.current.failure]).toEqual([3, null]);
  await shown(true, list("b", true));
  expect(askedCount()).toBe(3);
  await shown(true, list("b"));
  expect(askedCount()).toBe(4);
});
