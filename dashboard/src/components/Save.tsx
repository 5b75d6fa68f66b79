import { Button } from "@/components/Button";
import { WAIT } from "@/components/Outcome";

interface SaveProps {
  readonly isEdited: boolean;
  readonly isPending: boolean;
  /** What was saved is what is there. */
  readonly isSaved: boolean;
  /** What is typed would change nothing. */
  readonly nothing: boolean;
  readonly onUndo: () => void;
  readonly unable: string | null;
}

/** Under settings: to save them or to forget what was typed, and that it was done. */
export function Save({ isEdited, isPending, isSaved, nothing, onUndo, unable }: SaveProps) {
  const isDone = isSaved && nothing;
  const none = isDone ? "Nothing was changed since it was saved" : "Nothing was changed yet";
  return (
    <div className="flex flex-wrap items-center gap-3">
      <Button
        look="primary"
        // Beside it stands that it was saved.
        told={isDone && !unable ? undefined : "after"}
        type="submit"
        unable={unable ?? (nothing ? none : null)}
      >
        {isPending ? "Saving…" : "Save settings"}
      </Button>
      {isEdited && (
        <Button onClick={onUndo} unable={isPending ? WAIT : null}>
          Undo
        </Button>
      )}
      <span aria-live="polite" className="text-ok">
        {isSaved && "Saved."}
      </span>
    </div>
  );
}
