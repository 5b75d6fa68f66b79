import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { forms } from "./precompressed";

describe("compressed forms", () => {
  it("hold the same, and are smaller", async () => {
    const content = Buffer.from("a dashboard ".repeat(1_000));
    const made = await forms(content);
    expect(gunzipSync(made.get(".gz") ?? "")).toEqual(content);
    expect(brotliDecompressSync(made.get(".br") ?? "")).toEqual(content);
    for (const form of made.values()) expect(form.length).toBeLessThan(content.length);
  });

  it("are not made of what is small", async () => {
    expect((await forms(Buffer.from("x"))).size).toBe(0);
  });
});
