import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";
import { ApiError } from "@/api/errors";
import { Button } from "@/components/Button";
import { Empty, Failure, Loading } from "@/components/states";

const WHY = "The key has no scope manage.";

const described = (button: HTMLElement) => {
  const ids = button.getAttribute("aria-describedby")?.split(" ") ?? [];
  return ids.map((id) => document.getElementById(id)?.textContent ?? "").join("");
};

it("loading is said, not only drawn", () => {
  render(<Loading what="topics" />);
  expect(screen.getByRole("status").textContent).toContain("Loading topics");
});

it("an empty list says so and what to do", () => {
  render(<Empty action={<Button>Create topic</Button>} title="There are no topics yet" />);
  expect(screen.getByRole("button", { name: "Create topic" })).toBeTruthy();
});

it("a failure says what, why, the code and the request, and can be tried again", async () => {
  const retry = vi.fn();
  const error = new ApiError(503, "store_unavailable", "the disk is full", "r-1", null, 2);
  render(<Failure error={error} onRetry={retry} what="Topics cannot be listed" />);
  const said = screen.getByRole("alert").textContent;
  for (const part of [
    "Topics cannot be listed",
    "the disk is full",
    "store_unavailable",
    "r-1",
    "2 s",
  ]) {
    expect(said).toContain(part);
  }
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(retry).toHaveBeenCalledOnce();
});

it("a button that cannot be pressed says why, can be reached, and does nothing", async () => {
  const act = vi.fn();
  render(
    <Button onClick={act} unable={WHY}>
      Delete
    </Button>,
  );
  const button = screen.getByRole("button", { name: "Delete" });
  await userEvent.click(button);
  expect(act).not.toHaveBeenCalled();
  expect(button.getAttribute("aria-disabled")).toBe("true");
  expect(button.title).toBe(WHY);
  expect(described(button)).toBe(WHY);
});

it("a button of a form shows why, beside it", () => {
  render(
    <Button aria-describedby="more" told="before" unable={WHY}>
      Save
    </Button>,
  );
  const button = screen.getByRole("button", { name: "Save" });
  expect(screen.getByText(WHY).hidden).toBe(false);
  expect(button.getAttribute("aria-describedby")).toMatch(/^more ./);
  expect(described(button)).toBe(WHY);
});
