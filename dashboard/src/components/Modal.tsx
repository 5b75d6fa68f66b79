import { Dialog } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { type ReactNode, useRef } from "react";
import { buttonClass } from "@/components/Button";

interface ModalProps {
  readonly about?: ReactNode;
  readonly children: ReactNode;
  readonly onClose: () => void;
  readonly open: boolean;
  readonly title: string;
}

/** A dialog: its first field has the focus, which stays inside; Esc and a click beside it close it, and the focus
 * goes back. */
export function Modal({ about, children, onClose, open, title }: ModalProps) {
  const popup = useRef<HTMLDivElement>(null);
  return (
    <Dialog.Root onOpenChange={(next) => !next && onClose()} open={open}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-40 bg-black/50" />
        <Dialog.Popup
          initialFocus={() => popup.current?.querySelector("input") ?? true}
          ref={popup}
          className="fixed top-[8vh] left-1/2 z-50 max-h-[84vh] w-[min(40rem,calc(100vw-2rem))] -translate-x-1/2 overflow-y-auto rounded-lg border border-line bg-surface p-5 shadow-xl"
        >
          <div className="mb-3 flex items-start justify-between gap-4">
            <Dialog.Title className="font-semibold text-lg">{title}</Dialog.Title>
            <Dialog.Close aria-label="Close" className={`${buttonClass("quiet")} -mt-1 -mr-2 px-2`}>
              <X aria-hidden className="size-4" />
            </Dialog.Close>
          </div>
          {about && <Dialog.Description className="mb-4 text-dim">{about}</Dialog.Description>}
          {children}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
