import { describe, expect, it } from "vitest";
import { backlogText } from "@/components/backlog";

describe("a backlog", () => {
  it("is a number, a bound, or not known", () => {
    const shown = [
      { backlog: 1_204, more_backlog: false },
      { backlog: 0, more_backlog: false },
      { backlog: 1_204, more_backlog: true },
      { backlog: 0, more_backlog: true },
    ].map(backlogText);
    expect(shown).toEqual(["1,204", "0", "over 1,204", "?"]);
  });
});
