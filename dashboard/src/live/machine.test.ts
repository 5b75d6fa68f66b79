import { describe, expect, it } from "vitest";
import {
  AFTER_MAX_MS,
  BACKOFF_MAX_MS,
  backoffMs,
  type Effect,
  type Happening,
  type LiveState,
  type Machine,
  OFF,
  step,
} from "@/live/machine";

const ROLL = 0.5;
const url = "ws://h/ws";
const closed = (code: number, livedMs = 0): Happening => ({ code, kind: "closed", livedMs });

function having(...happenings: Happening[]): [Machine, readonly Effect[]] {
  let machine = OFF;
  let effects: readonly Effect[] = [];
  for (const happening of happenings) [machine, effects] = step(machine, happening, ROLL);
  return [machine, effects];
}

const START: Happening = { kind: "start" };
const OPENED: readonly Happening[] = [START, { kind: "addressed", url }, { kind: "opened" }];

describe("a live connection", () => {
  it("asks for its address, opens, and is open", () => {
    expect(having(START)).toEqual([{ ...OFF, state: "asking" }, [{ do: "ask" }]]);
    expect(having(START, { kind: "addressed", url })[1]).toEqual([{ do: "open", url }]);
    expect(having(...OPENED)[0].state).toBe("open");
  });

  it("is opened again when it was lost, with another address, because a ticket is good for one", () => {
    const [machine, effects] = having(...OPENED, closed(1006));
    expect(machine).toMatchObject({ failures: 1, state: "waiting" });
    expect(effects).toEqual([{ do: "wait", ms: 50 }]);
    expect(step(machine, { kind: "due" }, ROLL)[1]).toEqual([{ do: "ask" }]);
  });

  it("is closed when the page is left, takes nothing meanwhile, and opens when somebody comes back to it", () => {
    const before = [
      [START],
      OPENED.slice(0, 2),
      OPENED,
      [...OPENED, closed(1006)],
    ] satisfies (readonly Happening[])[];
    for (const happenings of before) {
      const [machine, effects] = having(...happenings, { kind: "left" });
      expect([machine.state, effects]).toEqual(["away", [{ do: "drop" }]]);
      for (const kind of ["due", "start", "opened", "left", "silent"] as const) {
        expect(step(machine, { kind }, ROLL)).toEqual([machine, []]);
      }
      const [again, then] = step(machine, { kind: "back" }, ROLL);
      expect([again.state, then]).toEqual(["asking", [{ do: "ask" }]]);
      expect(step(machine, { kind: "stop" }, ROLL)[0]).toBe(OFF);
    }
    for (const happenings of [[], [START], OPENED]) {
      const [machine] = having(...happenings);
      expect(step(machine, { kind: "back" }, ROLL)).toEqual([machine, []]);
    }
    expect(step(OFF, { kind: "left" }, ROLL)).toEqual([OFF, []]);
  });

  it("waits longer after each failure, up to a bound, and forgets them when it has lived", () => {
    expect([0, 1, 2, 3].map((failures) => backoffMs(failures, 1))).toEqual([100, 200, 400, 800]);
    expect(backoffMs(1_000, 1)).toBe(BACKOFF_MAX_MS);
    const tried = Array.from({ length: 5 }, () => [...OPENED.slice(1), closed(1006)]);
    const again = (each: Happening[]) => [{ kind: "due" } as const, ...each];
    const [machine] = having(START, ...(tried[0] ?? []), ...tried.slice(1).flatMap(again));
    expect(machine.failures).toBe(5);
    const [lived] = [...OPENED.slice(1), closed(1006, 60_000)].reduce<[Machine, unknown]>(
      ([each], happening) => step(each, happening, ROLL) as [Machine, unknown],
      step(machine, { kind: "due" }, ROLL) as [Machine, unknown],
    );
    expect(lived.failures).toBe(1);
  });

  it("comes back no sooner than the server has said, and not all at the same time", () => {
    const told: Happening = { afterMs: 2_000, kind: "closing" };
    expect(having(...OPENED, told, closed(1012))[1]).toEqual([{ do: "wait", ms: 3_050 }]);
    const long: Happening = { afterMs: 1e12, kind: "closing" };
    expect(having(...OPENED, long)[0].afterMs).toBe(AFTER_MAX_MS);
  });

  it.each([1002, 1003, 1007, 1009, 4500, 4503, 4529, 4999])("is over with code %s", (code) => {
    const [machine, effects] = having(...OPENED, closed(code));
    expect([machine.state, effects]).toEqual(["refused", []]);
    expect(step(machine, START, ROLL)[1]).toEqual([{ do: "ask" }]);
  });

  it.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4001, 4008, 4009, 4408, 4501])(
    "is not over with code %s",
    (code) => expect(having(...OPENED, closed(code))[0].state).toBe("waiting"),
  );

  it("is over when whoever asks may not have it, and tries again when the server is away", () => {
    const no: Happening = { afterMs: 0, kind: "unaddressed", mayRetry: false, reason: "no" };
    expect(having(START, no)[0]).toMatchObject({ reason: "no", state: "refused" });
    expect(having(START, { ...no, mayRetry: true })[0].state).toBe("waiting");
  });

  it("that is silent is dropped and opened again", () => {
    const [machine, effects] = having(...OPENED, { kind: "silent" });
    expect(machine.state).toBe("waiting");
    expect(effects.map((each) => each.do)).toEqual(["drop", "wait"]);
  });

  it("is dropped from every state when nobody wants it, and then nothing opens it", () => {
    const ways: Happening[][] = [
      [START],
      [START, { kind: "addressed", url }],
      [...OPENED],
      [...OPENED, closed(1006)],
      [...OPENED, closed(4503)],
    ];
    for (const way of ways) {
      const [machine, effects] = having(...way, { kind: "stop" });
      expect([machine, effects]).toEqual([OFF, [{ do: "drop" }]]);
      for (const late of [{ kind: "addressed", url }, { kind: "due" }, closed(1006)] as const) {
        expect(step(machine, late, ROLL)).toEqual([OFF, []]);
      }
    }
  });

  it("is never without a way out but where nobody wants it, or nothing helps", () => {
    const all: Happening[] = [
      START,
      { kind: "addressed", url },
      { afterMs: 0, kind: "unaddressed", mayRetry: true, reason: "" },
      { kind: "opened" },
      { afterMs: 1, kind: "closing" },
      closed(1006),
      { kind: "silent" },
      { kind: "due" },
    ];
    const states: LiveState[] = ["asking", "opening", "open", "waiting"];
    for (const state of states) {
      const leads = all.some((each) => step({ ...OFF, state }, each, ROLL)[0].state !== state);
      expect([state, leads]).toEqual([state, true]);
    }
  });
});
