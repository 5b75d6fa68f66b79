import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { asApiError } from "@/api/errors";
import type { WhoAmI } from "@/api/schema";
import { Loading } from "@/components/states";
import { useServerNow } from "@/components/useNow";
import { nameOf, whyOver } from "@/features/signin/model";
import { SignIn } from "@/features/signin/SignIn";
import { holdPace } from "@/live/pace";
import { asksNobody } from "@/services/rights";
import { whoamiQuery } from "@/services/server";

/** The page, or, where the server wants to know who asks and nobody has said it, a place to say it. Over the page,
 * if it was somebody's: so it is as it was when he comes back. */
export function Gate({ children }: { readonly children: ReactNode }) {
  const { data, error, isPending } = useQuery(whoamiQuery());
  const isNobody = error !== null && asApiError(error).code === "unauthenticated";
  useEffect(() => {
    holdPace(isNobody);
  }, [isNobody]);
  if (isPending) return <Loading what="who you are" />;
  if (!isNobody) return children;
  if (data === undefined) return <Card />;
  return (
    <>
      {children}
      <Over who={data} />
    </>
  );
}

function Card() {
  useEffect(() => {
    document.title = "Sign in · Conduit";
  }, []);
  return (
    <div className="px-4">
      <div className="mx-auto mt-[10vh] max-w-md space-y-3 rounded-lg border border-line bg-surface p-6">
        <h1 className="font-semibold text-lg">Sign in</h1>
        <p className="text-dim">This server asks who you are.</p>
        <SignIn />
      </div>
    </div>
  );
}

function Over({ who }: { readonly who: WhoAmI }) {
  const now = useServerNow();
  const isNew = asksNobody(who);
  return (
    <Dialog.Root open>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-[60] bg-canvas/80 backdrop-blur-sm" />
        <Dialog.Popup className="fixed top-[10vh] left-1/2 z-[70] w-[min(28rem,calc(100vw-2rem))] -translate-x-1/2 space-y-3 rounded-lg border border-line bg-surface p-6 shadow-xl">
          <Dialog.Title className="font-semibold text-lg">
            {isNew ? "Sign in" : "Sign in again"}
          </Dialog.Title>
          <Dialog.Description className="text-dim">
            {isNew ? (
              "This server asks who you are now: authentication was turned on."
            ) : (
              <>
                The session of <strong className="font-medium text-ink">{nameOf(who)}</strong> is
                over. {whyOver(who, now)}
              </>
            )}{" "}
            The page is as it was when you come back.
          </Dialog.Description>
          <SignIn />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
