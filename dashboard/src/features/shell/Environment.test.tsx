import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { ConnectionState } from "@/features/shell/Environment";
import { reportAnswer, reportSilence } from "@/live/connection";
import { setPace } from "@/live/pace";
import { useStill } from "@/live/still";

function Around({ isStill }: { readonly isStill: boolean }) {
  useStill(isStill);
  return <ConnectionState />;
}

it("nothing is called live while what is shown does not follow the server", () => {
  reportAnswer();
  const { rerender, unmount } = render(<Around isStill />);
  expect(screen.queryByText("Live")).toBeNull();
  rerender(<Around isStill={false} />);
  screen.getByText("Live");
  rerender(<Around isStill />);
  expect(screen.queryByText("Live")).toBeNull();
  unmount();
  render(<ConnectionState />);
  screen.getByText("Live");
});

it("that the server is not reached, or that pages are paused, is said in any case", () => {
  reportSilence("the server cannot be reached");
  const { unmount } = render(<Around isStill />);
  screen.getByText("Not reached");
  unmount();
  reportAnswer();
  setPace(null);
  render(<Around isStill />);
  screen.getByText("Paused");
  setPace(2_000);
});
