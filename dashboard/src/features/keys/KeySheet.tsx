import { Modal } from "@/components/Modal";
import { SHEET } from "@/features/keys/model";
import { setSingleKeys, useSingleKeys } from "@/features/keys/singleKeys";

interface KeySheetProps {
  readonly onClose: () => void;
  readonly open: boolean;
}

export function KeySheet({ onClose, open }: KeySheetProps) {
  const single = useSingleKeys();
  return (
    <Modal onClose={onClose} open={open} title="Keys">
      <dl className="grid grid-cols-[minmax(0,7rem)_1fr] gap-x-4 sm:grid-cols-[auto_1fr] sm:gap-x-6 gap-y-2">
        {SHEET.map(([keys, what]) => (
          <div className="contents" key={keys}>
            <dt>
              <kbd className="rounded border border-line bg-raised px-1.5 py-0.5 font-mono text-xs">
                {keys}
              </kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label className="mt-4 flex min-h-8 items-center gap-2 border-line border-t pt-3">
        <input
          checked={single}
          className="size-4"
          onChange={(event) => setSingleKeys(event.target.checked)}
          type="checkbox"
        />
        Single keys are commands
      </label>
    </Modal>
  );
}
