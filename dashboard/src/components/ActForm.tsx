import {
  type ComponentProps,
  createContext,
  type FormEvent,
  type SyntheticEvent,
  useContext,
} from "react";
import { ModalContext } from "@/components/Modal";

const HeldContext = createContext(false);

interface ActFormProps extends Omit<ComponentProps<"form">, "onSubmit"> {
  /** What it has sent is not answered yet. In a dialog that goes without saying: it is held then. */
  readonly isOut?: boolean;
  readonly onSubmit: (event: FormEvent<HTMLFormElement>) => void;
}

/** A form whose fields can be read and not changed while what it has sent is not answered: what would be typed then is
 * in nothing that was sent, and would be lost where the form closes. */
export function ActForm({ isOut = false, onSubmit, ...rest }: ActFormProps) {
  const isHeld = useContext(ModalContext).isHeld || isOut;
  return (
    <HeldContext value={isHeld}>
      {/* Choices and boxes know no read-only: nobody hears that they were changed, so they are as before. */}
      <form
        noValidate
        onChangeCapture={isHeld ? stop : undefined}
        onSubmit={isHeld ? (event) => event.preventDefault() : onSubmit}
        {...rest}
      />
    </HeldContext>
  );
}

/** Whether the form around waits for an answer. */
export const useIsHeld = () => useContext(HeldContext);

function stop(event: SyntheticEvent): void {
  event.stopPropagation();
}
