import { QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, expect, it, vi } from "vitest";
import { createQueryClient } from "@/services/client";
import {
  useChangeSubscription,
  useDeleteSubscription,
  usePauseSubscription,
  useSeek,
} from "@/services/subscriptions";
import { useChangeTenant, useDeleteTenant } from "@/services/tenants";
import { useChangeTopic, useDeleteTopic, usePurgeTopic } from "@/services/topics";
import { subscription, tenant, topic } from "@/test/factories";

const LATER = "2026-11-30T11:00:00.000Z";
const SUBSCRIPTION = subscription();
const TENANT = tenant();
const TOPIC = topic();
const SETTINGS = { body: { max_attempts: 1 }, created_at: SUBSCRIPTION.created_at };
const RETENTION = { epoch: TOPIC.epoch, isLossy: () => false, retention: { max_messages: 1 } };
const OTHERS = {
  subscription: subscription({ created_at: LATER }),
  tenant: tenant({ created_at: LATER }),
  topic: topic({ epoch: "later" }),
};

interface Started {
  readonly error: Error | null;
  readonly go: () => void;
}

/** Each act by name of what has one, as it is started. */
const ACTS: readonly (readonly [string, keyof typeof OTHERS, () => Started])[] = [
  ["deletion", "subscription", () => started(useDeleteSubscription(SUBSCRIPTION), undefined)],
  ["pause", "subscription", () => started(usePauseSubscription(), SUBSCRIPTION)],
  ["seek", "subscription", () => started(useSeek(SUBSCRIPTION, "new"), () => false)],
  ["deletion", "tenant", () => started(useDeleteTenant(TENANT), undefined)],
  ["new limits", "tenant", () => started(useChangeTenant(TENANT), { topics: 1 })],
  [
    "new settings",
    "subscription",
    () => started(useChangeSubscription(SUBSCRIPTION.name), SETTINGS),
  ],
  ["new settings", "topic", () => started(useChangeTopic(TOPIC.name), RETENTION)],
  ["deletion", "topic", () => started(useDeleteTopic(TOPIC), undefined)],
  [
    "purge",
    "topic",
    () =>
      started(
        usePurgeTopic(TOPIC, () => {}),
        undefined,
      ),
  ],
];

function started<V>(one: { error: Error | null; start: (of: V) => void }, of: V): Started {
  return { error: one.error, go: () => one.start(of) };
}

afterEach(() => vi.unstubAllGlobals());

it.each(ACTS)("%s of a %s is not of another one that has the name by now", async (_, what, use) => {
  const fetched = vi.fn((..._: Parameters<typeof fetch>) =>
    Promise.resolve(Response.json(OTHERS[what])),
  );
  vi.stubGlobal("fetch", fetched);
  const client = createQueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  const { result } = renderHook(use, { wrapper });
  act(() => result.current.go());
  await waitFor(() => expect(result.current.error).toMatchObject({ code: "another_by_now" }));
  expect(fetched.mock.calls.map(([, init]) => init?.method)).toEqual(["GET"]);
});
