import { useBlocker } from "@tanstack/react-router";
import { useContext, useEffect, useEffectEvent, useState } from "react";
import { asApiError } from "@/api/errors";
import { Button } from "@/components/Button";
import { ModalContext } from "@/components/Modal";
import { Failure } from "@/components/states";

/** What of an act its outcome is told from. */
interface Told {
  readonly error: Error | null;
  readonly isOut: () => boolean;
  readonly isPending: boolean;
  readonly leave: (words: { readonly may: string; readonly not: string } | null) => void;
  readonly look: () => void;
  readonly reset: () => void;
}

interface OutcomeProps {
  readonly act: Told;
  /** Beside a field its failure is told already. */
  readonly isSaid?: boolean;
  /** What is said where nobody knows whether it was done. */
  readonly may: string;
  readonly not: string;
  /** Shows what there is; in a dialog that is to close it. */
  readonly onLook?: () => void;
}

/** In a dialog or a form: that an act is not done, or may be. Until it is answered the dialog stays, and the page;
 * where they do not, because what they are of is gone, all pages tell it. */
export function Outcome({ act, isSaid = false, may, not, onLook }: OutcomeProps) {
  const { close, hold } = useContext(ModalContext);
  const { error, isPending } = act;
  const leave = useEffectEvent((isGone: boolean) => act.leave(isGone ? { may, not } : null));
  useEffect(() => {
    leave(false);
    return () => leave(true);
  }, []);
  useEffect(() => {
    hold(isPending);
    return () => hold(false);
  }, [hold, isPending]);
  if (isPending) return <Waiting isOut={act.isOut} />;
  if (!error || isSaid) return null;
  if (!asApiError(error).isOutcomeUnknown) return <Failure error={error} what={not} />;
  const look = onLook ?? close;
  return (
    <div className="space-y-2">
      <Failure error={error} what={may} />
      <div className="flex flex-wrap items-center gap-3">
        <p className="min-w-0 flex-1 text-warn">
          The server may have done it and its answer is lost. Look before you do it again.
        </p>
        {look && (
          <Button
            onClick={() => {
              act.look();
              act.reset();
              look();
            }}
          >
            Look
          </Button>
        )}
      </div>
    </div>
  );
}

/** Keeps the page as long as what it has sent is not answered: nobody else is told what came of it. */
function Waiting({ isOut }: Pick<Told, "isOut">) {
  const [tried, setTried] = useState(false);
  useBlocker({
    enableBeforeUnload: isOut,
    shouldBlockFn: () => {
      if (isOut()) setTried(true);
      return isOut();
    },
  });
  return tried ? <p role="status">It has been sent: what came of it is shown here.</p> : null;
}

interface LeaveProps {
  readonly children: string;
  readonly onClick: () => void;
}

/** Why what is out cannot be left. */
export const WAIT = "It has been sent: wait for its answer";

/** Closes a dialog, or goes a step back in it, but not while what it has sent is not answered. */
export function Leave({ children, onClick }: LeaveProps) {
  const { isHeld } = useContext(ModalContext);
  return (
    <Button onClick={onClick} unable={isHeld ? WAIT : null}>
      {children}
    </Button>
  );
}
