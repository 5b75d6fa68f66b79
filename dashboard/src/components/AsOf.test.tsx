import { fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { AsOf } from "@/components/AsOf";

it("says of when a list is whose first page is old, and has it asked for again", () => {
  const refetch = vi.fn();
  const came = (...seconds: number[]) => ({
    data: {
      pages: seconds.map((s) => ({ came_at: new Date(Date.now() - s * 1_000).toISOString() })),
    },
    isFetching: false,
    refetch,
  });
  const { container, rerender } = render(<AsOf list={came(25)} />);
  expect(container.textContent).toBe("");
  rerender(<AsOf list={came(120, 1)} />);
  expect(container.textContent).toBe("(as of 2 min ago) Refresh");
  fireEvent.click(screen.getByText("Refresh"));
  expect(refetch).toHaveBeenCalledOnce();
});
