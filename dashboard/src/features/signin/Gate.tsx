import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { useCaller } from "@/api/caller";
import { asApiError } from "@/api/errors";
import type { WhoAmI } from "@/api/schema";
import { Button } from "@/components/Button";
import { foreign } from "@/components/foreign";
import { OtherTenant } from "@/components/Modal";
import { Page } from "@/components/Page";
import { Empty, Failure, Loading } from "@/components/states";
import { useServerNow } from "@/components/useNow";
import { useChooseTenant, useTakenTenant } from "@/features/shell/choices";
import { nameOf, whyOver } from "@/features/signin/model";
import { SignIn } from "@/features/signin/SignIn";
import { holdPace } from "@/live/pace";
import { useStill } from "@/live/still";
import { asksNobody } from "@/services/rights";
import { useSecret } from "@/services/secrets";
import { actingQuery, useTenant, whoamiQuery } from "@/services/server";
import { useSignOut } from "@/services/session";
import { onSignedOut } from "@/services/signing";

/** The page, or, where the server wants to know who asks and nobody has said it, a place to say it. Over the page,
 * if it was somebody's: so it is as it was when he comes back. */
export function Gate({ children }: { readonly children: ReactNode }) {
  const { data, error: now, isFetched, refetch } = useQuery(whoamiQuery());
  const error = useTold(now, isFetched && data === undefined);
  const isNobody = error !== null && asApiError(error).code === "unauthenticated";
  // What is shown only once is not covered: whoever has put it away can sign in.
  const secret = useSecret();
  useStill(data === undefined || isNobody);
  // At once, and also of a page that is paused: what it shows was his.
  useEffect(() => onSignedOut(() => void refetch()), [refetch]);
  useEffect(() => {
    holdPace(isNobody);
    if (!isNobody) return;
    // In another tab of the browser somebody may have signed in meanwhile.
    const look = () => void refetch();
    window.addEventListener("focus", look);
    return () => window.removeEventListener("focus", look);
  }, [isNobody, refetch]);
  if (data) {
    return (
      <>
        <OfTenant>{children}</OfTenant>
        {isNobody && !secret && <Over who={data} />}
      </>
    );
  }
  // The page asks who it is too: it is not there before that is known, or it would be made and gone in turns.
  if (error === null) return <Loading what="who you are" />;
  return isNobody ? <Card /> : <Unknown error={error} onRetry={refetch} />;
}

/** The error; while it is asked again, the one before: what is typed meanwhile is not lost, nor the focus. */
function useTold(now: Error | null, isAskedAgain: boolean): Error | null {
  const [told, setTold] = useState(now);
  const error = now ?? (isAskedAgain ? told : null);
  if (error !== told) setTold(error);
  return error;
}

/** The page of the tenant that is shown: of another one it is another page. */
function OfTenant({ children }: { readonly children: ReactNode }) {
  const { chosen, own } = useTenant();
  const { tenant: asked } = useCaller();
  const { data, error: now, isFetched, refetch } = useQuery(actingQuery(chosen));
  const error = useTold(now, isFetched && data === undefined);
  const choose = useChooseTenant();
  const taken = useTakenTenant();
  if (error === null || asApiError(error).code !== "tenant_not_found") {
    return (
      <OtherTenant key={chosen} value={chosen}>
        {asked !== null && asked !== own && chosen === null && (
          <p className="px-4 pt-4 text-warn sm:px-6" role="status">
            The address is of tenant {asked}. Your key is of {own}, whose things are shown.
          </p>
        )}
        {taken !== null && (
          <p className="px-4 pt-4 text-dim sm:px-6">
            No tenant is chosen. This page is of one: your own, {taken}.
          </p>
        )}
        {children}
      </OtherTenant>
    );
  }
  return (
    <Page title="No such tenant">
      <Empty
        action={
          <>
            <Button look="primary" onClick={() => choose(null)}>
              Show all tenants
            </Button>
            <Button onClick={() => refetch()}>Look again</Button>
          </>
        }
        title={`There is no tenant “${foreign(chosen ?? "")}”`}
      >
        It was deleted, or the link is wrong. The tenants that there are can be chosen where this
        one is.
      </Empty>
    </Page>
  );
}

interface UnknownProps {
  readonly error: unknown;
  readonly onRetry: () => void;
}

function Unknown({ error, onRetry }: UnknownProps) {
  const signOut = useSignOut();
  const [hasOther, setHasOther] = useState(false);
  return (
    <Page title="It is not known who you are">
      <Failure error={error} onRetry={onRetry} what="The server does not say it" />
      <p className="text-dim">
        It is asked again by itself, as soon as the server allows, unless pages are paused.
      </p>
      <div className="flex flex-wrap gap-2">
        <Button onClick={() => signOut.mutate()}>Sign out</Button>
        <Button onClick={() => setHasOther(true)}>Sign in with another key</Button>
      </div>
      {signOut.error && <Failure error={signOut.error} what="You are not signed out" />}
      {hasOther && (
        <div className="max-w-md">
          <SignIn />
        </div>
      )}
    </Page>
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
