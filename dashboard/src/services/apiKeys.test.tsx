import { QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, expect, it, vi } from "vitest";
import { currentSession, setSession } from "@/api/caller";
import type { KeyCreated } from "@/api/schema";
import { parted } from "@/live/acquaintance";
import { useRotateKey } from "@/services/apiKeys";
import { createQueryClient } from "@/services/client";
import { putSecretAway, secretKeeper, useSecret } from "@/services/secrets";
import { whoamiQuery } from "@/services/server";
import { whoami } from "@/test/factories";

const AT = "2026-11-30T10:00:00.000Z";
const session = (id: string) => ({ ends_at: AT, id, idle_s: 60 });
const ROTATED = {
  created_at: AT,
  created_by: "x",
  expires_at: null,
  id: "KD0AFPa2",
  key: "ck_live_new",
  last_used_at: null,
  limits: {},
  name: "web",
  revoked_at: null,
  rotating_until: null,
  scopes: [{ scope: "manage" }],
  tenant: "acme",
};

afterEach(() => {
  while (secret() !== undefined) act(putSecretAway);
  vi.unstubAllGlobals();
  setSession(null);
});

/** Whose server answers requests by the end of their paths; nothing: it never answers. */
function rotating(answers: Readonly<Record<string, unknown>>) {
  vi.stubGlobal(
    "fetch",
    vi.fn((url: string) => {
      const [, answer] = Object.entries(answers).find(([end]) => url.endsWith(end)) ?? [];
      return answer ? Promise.resolve(Response.json(answer)) : new Promise(() => {});
    }),
  );
  const client = createQueryClient();
  client.setQueryData(whoamiQuery().queryKey, whoami({ session: session("before") }));
  setSession("before");
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  return renderHook(() => useRotateKey("KD0AFPa2"), { wrapper });
}

const secret = () => renderHook(() => useSecret()).result.current?.key;

it("who has rotated his own key goes on in the session of the new secret at once", async () => {
  const { result } = rotating({
    "/rotate": ROTATED,
    "/session": session("after"),
    "/whoami": whoami({ session: session("before") }),
  });
  const sessions: unknown[] = [];
  act(() => result.current.start(0, ({ key }) => sessions.push(key, currentSession())));
  await waitFor(() => expect(sessions).toEqual(["ck_live_new", "after"]));
});

it("a secret is there for whoever has lost its page, and before anybody has signed in with it", async () => {
  const { result, unmount } = rotating({ "/rotate": ROTATED });
  act(() => result.current.start(0));
  unmount();
  await waitFor(() => expect(secret()).toBe("ck_live_new"));
  act(() => secretKeeper()({ ...ROTATED, key: "ck_live_next" } as KeyCreated));
  putSecretAway();
  expect(secret()).toBe("ck_live_next");
});

it("a secret is forgotten with who has asked for it, also one that is told later", async () => {
  const { result } = rotating({ "/rotate": ROTATED });
  const keep = secretKeeper();
  act(() => result.current.start(0));
  await waitFor(() => expect(secret()).toBe("ck_live_new"));
  act(parted.say);
  expect(secret()).toBeUndefined();
  act(() => keep({ ...ROTATED, key: "ck_live_late" } as KeyCreated));
  expect(secret()).toBeUndefined();
});
