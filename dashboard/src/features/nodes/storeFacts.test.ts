import { describe, expect, it } from "vitest";
import { storeFacts } from "@/features/nodes/storeFacts";

describe("what a node runs on", () => {
  it("has names that say what it is, and nothing empty", () => {
    const store = {
      durable: true,
      kind: "postgresql",
      synchronous_standby_names: "",
      wal_bytes: 2048,
    };
    expect(storeFacts(store)).toEqual([
      ["Outlives the process", "yes"],
      ["Store", "postgresql"],
      ["Beside it, not in the file yet", "2.0 KiB"],
    ]);
  });

  it("shows what it does not know as well", () => {
    expect(storeFacts({ new_thing: { a: 1 }, other_bytes: 1024 })).toEqual([
      ["New thing", '{"a":1}'],
      ["Other", "1.0 KiB"],
    ]);
  });
});
