import { expect, it, vi } from "vitest";
import { serverUrl } from "@/api/place";
import { onSignedOut, onSigning, saySignedOut, saySigning } from "@/services/signing";

it("signing in or out is heard of in this tab and in another one, until nobody listens", async () => {
  const heard = vi.fn();
  const end = onSigning(heard);
  saySigning();
  expect(heard).toHaveBeenCalledOnce();
  const other = new BroadcastChannel(`conduit ${serverUrl()}`);
  heard.mockClear();
  other.postMessage("signing");
  await vi.waitFor(() => expect(heard).toHaveBeenCalled(), { timeout: 30_000 });
  end();
  heard.mockClear();
  saySigning();
  expect(heard).not.toHaveBeenCalled();
  other.close();
});

it("who has signed out in another tab is told from who begins to sign in or out there", async () => {
  const heard = vi.fn();
  const end = onSignedOut(heard);
  saySigning();
  saySignedOut();
  await vi.waitFor(() => expect(heard).toHaveBeenCalledOnce(), { timeout: 30_000 });
  end();
});
