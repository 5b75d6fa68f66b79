import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Time } from "@/components/Time";

function inRow() {
  const onClick = vi.fn((event: React.MouseEvent) => event.preventDefault());
  render(
    <div role="row">
      <a href="/topics" onClick={onClick}>
        orders
      </a>
      <Time at="2026-11-30T10:00:00.000Z" inRow />
    </div>,
  );
  return { onClick, time: screen.getByText(/ago|in /) };
}

it("a time in a row can be pointed at, and opens the row as it was clicked", () => {
  const { onClick, time } = inRow();
  expect(time.title).toContain("2026");
  fireEvent.click(time, { ctrlKey: true });
  expect(onClick).toHaveBeenCalledOnce();
  expect(onClick.mock.calls[0]?.[0]).toMatchObject({ ctrlKey: true });
});

it("the middle button on a time opens the row in another tab, and the right one does not", () => {
  const { onClick, time } = inRow();
  fireEvent(time, new MouseEvent("auxclick", { bubbles: true, button: 2 }));
  expect(onClick).not.toHaveBeenCalled();
  fireEvent(time, new MouseEvent("auxclick", { bubbles: true, button: 1 }));
  expect(onClick.mock.calls[0]?.[0]).toMatchObject({ ctrlKey: true, metaKey: true });
});

it("who selects a time to copy it opens nothing", () => {
  const { onClick, time } = inRow();
  window.getSelection()?.selectAllChildren(time);
  fireEvent.click(time);
  expect(onClick).not.toHaveBeenCalled();
  window.getSelection()?.removeAllRanges();
});
