import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { Save } from "@/components/Save";

const visible = (text: string) =>
  screen.queryAllByText(text).filter((found) => !found.closest("[hidden]")).length;

function show(isSaved: boolean, nothing: boolean, unable: string | null = null) {
  const save = { isEdited: !nothing, isPending: false, isSaved, nothing, unable };
  return render(<Save {...save} onUndo={() => undefined} />);
}

it("says that nothing was changed yet, or that it was saved, and not both", () => {
  const { unmount } = show(false, true);
  expect([visible("Nothing was changed yet"), visible("Saved.")]).toEqual([1, 0]);
  unmount();
  show(true, true);
  expect([visible("Nothing was changed yet"), visible("Saved.")]).toEqual([0, 1]);
  // Who comes to the button hears why it does nothing.
  const button = screen.getByRole("button", { name: "Save settings" });
  expect(button.getAttribute("aria-disabled")).toBe("true");
  expect(visible("Nothing was changed since it was saved")).toBe(0);
});

it("tells what is lacking, also beside what was saved, and saves what was changed", () => {
  const { unmount } = show(true, true, "The key has no scope manage.");
  expect(visible("The key has no scope manage.")).toBe(1);
  unmount();
  show(false, false);
  screen.getByRole("button", { name: "Undo" });
  const button = screen.getByRole("button", { name: "Save settings" });
  expect(button.getAttribute("aria-disabled")).toBeNull();
});
