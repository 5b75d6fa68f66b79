import { fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, it, vi } from "vitest";
import { ActForm } from "@/components/ActForm";
import { Choice } from "@/components/Choice";
import { Field } from "@/components/Field";
import { ModalContext } from "@/components/Modal";

const heard = vi.fn();

function Example({ isOut = false }: { readonly isOut?: boolean }) {
  const [name, setName] = useState("a");
  const [end, setEnd] = useState("1 h");
  const [isOn, setOn] = useState(false);
  return (
    <ActForm
      aria-label="example"
      isOut={isOut}
      onSubmit={(event) => {
        event.preventDefault();
        heard();
      }}
    >
      <Field label="Name" onChange={({ target }) => setName(target.value)} value={name} />
      <Choice label="End" onChange={({ target }) => setEnd(target.value)} value={end}>
        <option>1 h</option>
        <option>1 d</option>
      </Choice>
      <label>
        On
        <input checked={isOn} onChange={({ target }) => setOn(target.checked)} type="checkbox" />
      </label>
    </ActForm>
  );
}

async function change(): Promise<readonly unknown[]> {
  const user = userEvent.setup();
  const name = screen.getByLabelText<HTMLInputElement>("Name");
  const end = screen.getByLabelText<HTMLSelectElement>("End");
  const on = screen.getByLabelText<HTMLInputElement>("On");
  await user.type(name, "b");
  await user.selectOptions(end, "1 d");
  await user.click(on);
  fireEvent.submit(screen.getByRole("form"));
  return [name.value, end.value, on.checked, heard.mock.calls.length];
}

it("what a form has sent is not answered: nothing in it changes, nor is it sent again, and then it is as before", async () => {
  heard.mockClear();
  const { rerender } = render(<Example isOut />);
  const name = screen.getByLabelText<HTMLInputElement>("Name");
  name.focus();
  expect(await change()).toEqual(["a", "1 h", false, 0]);
  rerender(<Example />);
  expect(await change()).toEqual(["ab", "1 d", true, 1]);
});

it("a form in a dialog that is held for an answer changes as little, and keeps the focus", async () => {
  heard.mockClear();
  const inDialog = (isHeld: boolean) => (
    <ModalContext value={{ close: null, hold: () => {}, isHeld }}>
      <Example />
    </ModalContext>
  );
  const { rerender } = render(inDialog(false));
  const name = screen.getByLabelText<HTMLInputElement>("Name");
  name.focus();
  rerender(inDialog(true));
  expect(document.activeElement).toBe(name);
  expect(await change()).toEqual(["a", "1 h", false, 0]);
});
