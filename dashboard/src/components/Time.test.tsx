import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { Time } from "@/components/Time";

it("a time in a row can be pointed at, and opens the row as it was clicked", () => {
  const onClick = vi.fn((event: React.MouseEvent) => event.preventDefault());
  render(
    <div role="row">
      <a href="/topics" onClick={onClick}>
        orders
      </a>
      <Time at="2026-11-30T10:00:00.000Z" inRow />
    </div>,
  );
  const time = screen.getByText(/ago|in /);
  expect(time.title).toContain("2026");
  fireEvent.click(time, { ctrlKey: true });
  expect(onClick).toHaveBeenCalledOnce();
  expect(onClick.mock.calls[0]?.[0]).toMatchObject({ ctrlKey: true });
});
