import { QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, expect, it, vi } from "vitest";
import { createQueryClient } from "@/services/client";
import { usePurgeTopic } from "@/services/topics";
import { topic } from "@/test/factories";

const TOPIC = topic({ epoch: "e1", name: "t" });

afterEach(() => vi.unstubAllGlobals());

it("a purge that is stopped asks for nothing more, and says how much is gone", async () => {
  const answers: ((response: Response) => void)[] = [];
  const fetched = vi.fn(() => new Promise<Response>((resolve) => answers.push(resolve)));
  vi.stubGlobal("fetch", fetched);
  const client = createQueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  const { result } = renderHook(() => usePurgeTopic(TOPIC, () => {}), { wrapper });
  act(() => result.current.start());
  await waitFor(() => expect(answers).toHaveLength(1));
  answers[0]?.(Response.json(TOPIC));
  await waitFor(() => expect(answers).toHaveLength(2));
  result.current.stop();
  const answer = { matched_count: 9, next: "further", purged_count: 3, through_seq: 9 };
  answers[1]?.(new Response(JSON.stringify(answer)));
  await waitFor(() => expect(result.current.data).toEqual({ count: 3, hasMore: true }));
  expect(fetched).toHaveBeenCalledTimes(2);
});
