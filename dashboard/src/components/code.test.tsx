import { act, fireEvent, render, screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import { fromServer, LateCode } from "@/components/code";
import { LatePart } from "@/components/LatePart";
import { reportAnswer, reportSilence } from "@/live/connection";

function failingOnce() {
  return vi
    .fn<() => Promise<string>>()
    .mockRejectedValueOnce(new TypeError("Failed to fetch"))
    .mockResolvedValue("the chart");
}

const show = (code: LateCode<string>, name = "first") => (
  <LatePart before={`${name} waits`} code={code} not={`${name} is not there`}>
    {(found) => `${found} of ${name}`}
  </LatePart>
);

it("code that does not come is an error in words, and is asked for by each who wants it", async () => {
  const importer = failingOnce();
  await expect(fromServer(importer)()).rejects.toThrow("Its code does not come from the server.");
  await expect(fromServer(importer)()).resolves.toBe("the chart");
});

it("a part whose code does not come says so in its place, and one click has all of them come", async () => {
  const importer = failingOnce();
  const code = new LateCode(importer);
  render(
    <>
      <p>The rest of the page</p>
      <div>{show(code)}</div>
      <div>{show(code, "second")}</div>
    </>,
  );
  screen.getByText("first waits");
  await screen.findByText("first is not there");
  screen.getByText("second is not there");
  screen.getByText("The rest of the page");
  expect(importer).toHaveBeenCalledOnce();
  fireEvent.click(screen.getAllByText("Try again")[0] as Element);
  await screen.findByText("the chart of first");
  screen.getByText("the chart of second");
  expect(importer).toHaveBeenCalledTimes(2);
});

it("a part that somebody comes back to has its code asked for again", async () => {
  const importer = failingOnce();
  const code = new LateCode(importer);
  const { unmount } = render(show(code));
  await screen.findByText("first is not there");
  unmount();
  render(show(code));
  await screen.findByText("the chart of first");
});

it("a part whose code did not come has it asked for again when the server is back, and only then", async () => {
  const importer = failingOnce();
  render(show(new LateCode(importer)));
  await screen.findByText("first is not there");
  reportAnswer();
  expect(importer).toHaveBeenCalledOnce();
  reportSilence("the server cannot be reached");
  act(() => reportAnswer());
  await screen.findByText("the chart of first");
});
