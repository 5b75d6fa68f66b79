interface AnotherProps {
  /** What to do about it. */
  readonly way?: string;
  readonly what: string;
}

/** Why a button is not for what there is by now. */
export const IS_OTHER = "Close this, and look at the one that there is now";

/** The same in a form of a page. */
export const IS_OTHER_TYPED = "Undo, and look at the one that there is now";

/** In a dialog or a form: what it was opened or typed for is gone, and something else has its name. */
export function Another({ way = IS_OTHER, what }: AnotherProps) {
  return (
    <p className="text-warn" role="alert">
      Another {what} has this name by now: the one that this is for was deleted. {way}.
    </p>
  );
}
