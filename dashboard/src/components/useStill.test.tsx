import { act, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Meanwhile } from "@/components/Meanwhile";
import { GONE_MAX_COUNT, standing, useStill } from "@/components/useStill";

interface Item {
  readonly id: string;
  readonly word?: string;
}

const items = (...ids: string[]): Item[] => ids.map((id) => ({ id }));
const keyOf = ({ id }: Item) => id;
const kept = (before: Item[], now: Item[]) => {
  const { gone, newCount, rows } = standing(before, now, keyOf);
  return { gone: [...gone], newCount, rows: rows.map(keyOf).join("") };
};

describe("rows that stand still", () => {
  it("get what comes below them, and of what comes above or between only how many there are", () => {
    expect(kept([], items("b", "a"))).toEqual({ gone: [], newCount: 0, rows: "ba" });
    expect(kept(items("b", "a"), items("d", "b", "c", "a", "z"))).toEqual({
      gone: [],
      newCount: 2,
      rows: "baz",
    });
  });

  it("stay where they were when one is gone, or has come again as the newest", () => {
    expect(kept(items("c", "b", "a"), items("c", "a"))).toEqual({
      gone: ["b"],
      newCount: 0,
      rows: "cba",
    });
    expect(kept(items("c", "b", "a"), items("a", "c", "b")).rows).toBe("cba");
  });

  it("are as they are now", () => {
    const now = [{ id: "b", word: "later" }, ...items("a")];
    expect(standing(items("b", "a"), now, keyOf).rows).toEqual(now);
  });

  it("are those of now when too many are gone", () => {
    const ids = Array.from({ length: GONE_MAX_COUNT + 1 }, (_, at) => `${at}`);
    expect(kept(items(...ids, "a"), items("b", "a"))).toEqual({
      gone: [],
      newCount: 0,
      rows: "ba",
    });
    expect(kept(items(...ids.slice(1), "a"), items("b", "a")).gone).toHaveLength(GONE_MAX_COUNT);
  });

  it("are none of what was emptied", () => {
    expect(kept(items("a"), [])).toEqual({ gone: [], newCount: 0, rows: "" });
  });
});

function List({ of }: { readonly of: readonly Item[] }) {
  const { gone, hold, newCount, rows, scroller, show } = useStill(of, keyOf);
  return (
    <>
      <div data-testid="list" {...hold}>
        <div ref={scroller} tabIndex={0}>
          {rows.map(({ id }) => (
            <button key={id} type="button">
              {id}
            </button>
          ))}
        </div>
        <Meanwhile gone={gone} newCount={newCount} onShow={show} />
      </div>
      <button type="button">elsewhere</button>
    </>
  );
}

describe("a list that changes by itself", () => {
  afterEach(() => void vi.restoreAllMocks());

  const setUp = () => {
    const { rerender } = render(<List of={items("a")} />);
    return {
      come: (...ids: string[]) => rerender(<List of={items(...ids)} />),
      list: screen.getByTestId("list"),
      said: () => screen.getByTestId("list").textContent,
    };
  };

  it("stands still while the pointer is in it, and goes on when it is not", () => {
    const { come, list, said } = setUp();
    fireEvent.pointerEnter(list);
    come("b", "a");
    come("c", "b", "a");
    expect(said()).toBe("a(2 new) Bring up to date");
    fireEvent.pointerLeave(list);
    expect(said()).toBe("cba");
  });

  it("stands still while the focus is in it, until it is told to go on", () => {
    const { come, said } = setUp();
    act(() => screen.getByText("a").focus());
    come("b", "a");
    act(() => screen.getByText("Bring up to date").focus());
    expect(said()).toBe("a(1 new) Bring up to date");
    fireEvent.click(screen.getByText("Bring up to date"));
    expect(said()).toBe("ba");
    expect(document.activeElement?.contains(screen.getByText("b"))).toBe(true);
    come("c", "b", "a");
    expect(said()).toBe("ba(1 new) Bring up to date");
    act(() => screen.getByText("elsewhere").focus());
    expect(said()).toBe("cba");
  });

  it("stands still from the touch to the click, which comes after the finger has left", () => {
    const { come, list, said } = setUp();
    fireEvent.pointerEnter(list, { pointerType: "touch" });
    come("b", "a");
    fireEvent.pointerLeave(list, { pointerType: "touch" });
    expect(said()).toBe("a(1 new) Bring up to date");
  });

  it("always stands still where there is only a finger", () => {
    vi.spyOn(window, "matchMedia").mockReturnValue({ matches: true } as MediaQueryList);
    const { come, said } = setUp();
    come("b", "a");
    expect(said()).toBe("a(1 new) Bring up to date");
  });
});
