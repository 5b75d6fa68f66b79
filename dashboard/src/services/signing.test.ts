import { expect, it, vi } from "vitest";
import { serverUrl } from "@/api/place";
import { onSigning, saySigning } from "@/services/signing";

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
