import { Dialog } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { createContext, type ReactNode, useContext, useRef, useState } from "react";
import { buttonClass } from "@/components/Button";

interface Held {
  /** null: it is in no dialog. */
  readonly close: (() => void) | null;
  readonly hold: (isHeld: boolean) => void;
  readonly isHeld: boolean;
}

/** The dialog around: who has sent something from it holds it until that is answered. */
export const ModalContext = createContext<Held>({ close: null, hold: () => {}, isHeld: false });

/** Whose things the page shows, if they are not those of the tenant of who looks. */
export const OtherTenant = createContext<string | null>(null);

/** Behind the name of a thing, where it is said on any page: whose it is, if it is not one's own tenant's. */
export function useOfTenant(): string {
  const tenant = useContext(OtherTenant);
  return tenant === null ? "" : ` of tenant ${tenant}`;
}

interface ModalProps {
  readonly about?: ReactNode;
  readonly children: ReactNode;
  readonly onClose: () => void;
  readonly open: boolean;
  readonly title: string;
}

/** A dialog: its first field has the focus, which stays inside; Esc and a click beside it close it, unless it is
 * held, and the focus goes back: where what had it is gone, to the dialog
 * below. */
export function Modal({ about, children, onClose, open, title }: ModalProps) {
  const popup = useRef<HTMLDivElement>(null);
  const opened = useRef<Opened>(null);
  const [isHeld, hold] = useState(false);
  const tenant = useContext(OtherTenant);
  return (
    <Dialog.Root onOpenChange={(next) => !next && !isHeld && onClose()} open={open}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-40 bg-black/50" />
        <Dialog.Popup
          finalFocus={() => returnOf(opened.current)}
          initialFocus={() => {
            opened.current = { by: document.activeElement, popup: popup.current };
            return popup.current?.querySelector("input") ?? true;
          }}
          ref={popup}
          className="fixed top-[8vh] left-1/2 z-50 max-h-[84vh] w-[min(40rem,calc(100vw-2rem))] -translate-x-1/2 overflow-y-auto rounded-lg border border-line bg-surface p-5 shadow-xl"
        >
          <div className="mb-3 flex items-start justify-between gap-4">
            <Dialog.Title className="min-w-0 break-words font-semibold text-lg">
              {title}
            </Dialog.Title>
            <Dialog.Close
              aria-disabled={isHeld ? true : undefined}
              aria-label="Close"
              className={`${buttonClass("quiet")} -mt-1 -mr-2 px-2`}
            >
              <X aria-hidden className="size-4" />
            </Dialog.Close>
          </div>
          {tenant !== null && <p className="-mt-2 mb-3 break-all text-warn">In tenant {tenant}</p>}
          {about && <Dialog.Description className="mb-4 text-dim">{about}</Dialog.Description>}
          <ModalContext value={{ close: onClose, hold, isHeld }}>{children}</ModalContext>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

interface Opened {
  /** What had the focus before. */
  readonly by: Element | null;
  readonly popup: Element | null;
}

/** Where the focus goes when a dialog has closed. True: back; false: where it has gone by itself. */
function returnOf(opened: Opened | null): HTMLElement | boolean {
  const { activeElement, body } = document;
  if (activeElement !== body && !opened?.popup?.contains(activeElement)) return false;
  const by = opened?.by;
  if (by?.isConnected && by !== body) return true;
  const all = [...document.querySelectorAll<HTMLElement>("[role=dialog]")];
  return all.filter((each) => each !== opened?.popup).at(-1) ?? true;
}
