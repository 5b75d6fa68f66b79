import { describe, expect, it } from "vitest";
import { CHORD_MS, Keys, leadsTo } from "@/features/keys/model";

const plain = (key: string) => ({ isTyping: false, key, withCommand: false });

describe("keys", () => {
  it("go to a page with two of them", () => {
    const keys = new Keys();
    expect(keys.press(plain("g"), 0)).toBeNull();
    expect(keys.press(plain("t"), 100)).toEqual({ kind: "go", to: "/topics" });
  });

  it("forget the first after a moment, and after any other", () => {
    const keys = new Keys();
    keys.press(plain("g"), 0);
    expect(keys.press(plain("t"), CHORD_MS)).toBeNull();
    keys.press(plain("g"), 0);
    keys.press(plain("x"), 1);
    expect(keys.press(plain("t"), 2)).toBeNull();
  });

  it("mean nothing where something is typed, but for the palette", () => {
    const keys = new Keys();
    expect(keys.press({ isTyping: true, key: "/", withCommand: false }, 0)).toBeNull();
    expect(keys.press({ isTyping: true, key: "g", withCommand: false }, 0)).toBeNull();
    expect(keys.press({ isTyping: true, key: "k", withCommand: true }, 0)).toEqual({
      kind: "palette",
    });
  });

  it("leave the browser what is the browser's", () => {
    expect(new Keys().press({ isTyping: false, key: "j", withCommand: true }, 0)).toBeNull();
  });

  it.each([
    ["/", "search"],
    ["?", "help"],
    ["j", "next"],
    ["k", "previous"],
    ["r", "redrive"],
    ["Enter", "open"],
    ["Escape", "back"],
  ])("%s means %s", (key, kind) => {
    expect(new Keys().press(plain(key), 0)).toEqual({ kind });
  });
});

describe("the row that has led to what is shown", () => {
  const row = new URL("http://h/ui/messages?topic=t&msg=1");

  it("says the same or less", () => {
    expect(leadsTo(row, row)).toBe(true);
    expect(leadsTo(row, new URL("http://h/ui/messages?msg=1&topic=t&f=x"))).toBe(true);
  });

  it.each(["messages?topic=t&msg=2", "messages?topic=t", "topics?topic=t&msg=1"])(
    "has not led to %s",
    (shown) => expect(leadsTo(row, new URL(`http://h/ui/${shown}`))).toBe(false),
  );
});
