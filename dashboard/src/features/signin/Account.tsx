import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { LogOut, UserRound } from "lucide-react";
import { useState } from "react";
import type { WhoAmI } from "@/api/schema";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Failure } from "@/components/states";
import { exactly } from "@/components/times";
import { grantText, nameOf } from "@/features/signin/model";
import { asksNobody } from "@/services/rights";
import { whoamiQuery } from "@/services/server";
import { useSignOut } from "@/services/session";

/** Who has signed in, and as what; nothing where nobody is asked, or nobody has said it. */
export function Account() {
  const { data, error } = useQuery(whoamiQuery());
  const [open, setOpen] = useState(false);
  if (!data || asksNobody(data) || error) {
    // Whoever signs in next has not opened it.
    if (open) setOpen(false);
    return null;
  }
  const close = () => setOpen(false);
  return (
    <>
      <Button look="quiet" onClick={() => setOpen(true)} title={`Signed in as ${nameOf(data)}`}>
        <UserRound aria-hidden className="size-4" />
        <span className="sr-only">Signed in as </span>
        <span className="max-w-32 truncate max-lg:sr-only">{nameOf(data)}</span>
      </Button>
      <Modal onClose={close} open={open} title={`Signed in as ${nameOf(data)}`}>
        <Facts who={data} />
        <Acts onDone={close} who={data} />
      </Modal>
    </>
  );
}

function Facts({ who }: { readonly who: WhoAmI }) {
  const rows: readonly (readonly [string, string])[] = [
    ["Tenant", who.tenant],
    ["Key", who.key_id ?? nameOf(who)],
    ["May", who.scopes.map(grantText).join("; ")],
    ["Until", who.expires_at === null ? "the key is revoked" : exactly(who.expires_at)],
  ];
  return (
    <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-2">
      {rows.map(([name, value]) => (
        <div className="contents" key={name}>
          <dt className="text-dim">{name}</dt>
          <dd className="whitespace-pre-line break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Acts({ onDone, who }: { readonly onDone: () => void; readonly who: WhoAmI }) {
  const signOut = useSignOut();
  const link = "text-accent underline underline-offset-2";
  return (
    <div className="mt-5 flex flex-wrap items-center justify-between gap-3 border-line border-t pt-4">
      <p className="flex flex-wrap gap-x-4">
        <Link className={link} onClick={onDone} to="/api-keys">
          API keys
        </Link>
        <Link className={link} onClick={onDone} to="/tenants">
          Tenants
        </Link>
        <Link className={link} onClick={onDone} to="/audit">
          Audit log
        </Link>
      </p>
      {who.session && (
        <Button
          onClick={() => signOut.mutate(undefined, { onSuccess: onDone })}
          unable={signOut.isPending ? "It is being done" : null}
        >
          <LogOut aria-hidden className="size-4" /> Sign out
        </Button>
      )}
      {signOut.error && (
        <Failure
          error={signOut.error}
          what="You are not signed out: try again, or close the browser"
        />
      )}
    </div>
  );
}
