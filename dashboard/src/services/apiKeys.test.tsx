import { QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, expect, it, vi } from "vitest";
import { currentSession, setSession } from "@/api/caller";
import { useRotateKey } from "@/services/apiKeys";
import { createQueryClient } from "@/services/client";
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
  vi.unstubAllGlobals();
  setSession(null);
});

it("who has rotated his own key goes on in the session of the new secret at once", async () => {
  vi.stubGlobal(
    "fetch",
    vi.fn(async (url: string) =>
      Response.json(url.endsWith("/rotate") ? ROTATED : session("after")),
    ),
  );
  const client = createQueryClient();
  client.setQueryData(whoamiQuery().queryKey, whoami({ session: session("before") }));
  setSession("before");
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  const { result } = renderHook(() => useRotateKey("KD0AFPa2"), { wrapper });
  const sessions: unknown[] = [];
  act(() => result.current.start(0, ({ key }) => sessions.push(key, currentSession())));
  await waitFor(() => expect(sessions).toEqual(["ck_live_new", "after"]));
});
