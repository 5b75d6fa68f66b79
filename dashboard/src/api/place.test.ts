import { describe, expect, it } from "vitest";
import { serverUrl, uiPath } from "@/api/place";

describe("where the server is", () => {
  it.each([
    ["http://h:8080/ui/", "/ui/", "http://h:8080/"],
    ["https://h/a/b/ui/", "/a/b/ui/", "https://h/a/b/"],
  ])("below %s it is beside the dashboard", (base, ui, server) => {
    expect(uiPath(base)).toBe(ui);
    expect(serverUrl(base)).toBe(server);
  });
});
