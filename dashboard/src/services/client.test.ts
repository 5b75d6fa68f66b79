import { QueryObserver } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";
import { setPace } from "@/live/pace";
import { createQueryClient } from "@/services/client";
import { polled } from "@/services/polled";

afterEach(() => {
  setPace(2_000);
  vi.useRealTimers();
});

it("asks nothing any more from the moment in which pages are paused, and goes on after it", async () => {
  vi.useFakeTimers();
  const client = createQueryClient();
  let asked = 0;
  const queryFn = () => Promise.resolve(++asked);
  const observer = new QueryObserver(client, {
    queryFn,
    queryKey: ["x"],
    refetchInterval: polled.refetchInterval,
  });
  const leave = observer.subscribe(() => undefined);
  await vi.advanceTimersByTimeAsync(4_500);
  expect(asked).toBe(3);
  setPace(null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(3);
  setPace(2_000);
  await vi.advanceTimersByTimeAsync(2_500);
  expect(asked).toBe(4);
  leave();
});
