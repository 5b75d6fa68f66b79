interface AnotherProps {
  readonly what: string;
}

/** Why a button is not for what there is by now. */
export const IS_OTHER = "Close this, and look at the one that there is now";

/** In a dialog: what it was opened for is gone, and something else has its name. */
export function Another({ what }: AnotherProps) {
  return (
    <p className="text-warn" role="alert">
      Another {what} has this name by now: the one for which this was opened was deleted. {IS_OTHER}
      .
    </p>
  );
}
