import { type FormEvent, useEffect, useRef, useState } from "react";
import { asApiError } from "@/api/errors";
import { ActForm } from "@/components/ActForm";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { whyNot } from "@/features/signin/model";
import { useSignIn } from "@/services/session";

/** A form as password managers know it: whose key it is, and the key. */
export function SignIn() {
  const [typed, setTyped] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const signIn = useSignIn();
  useEffect(() => field.current?.focus(), []);
  const key = typed.trim();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key === "" || signIn.isPending) return;
    signIn.mutate(key, {
      onError: () => field.current?.focus(),
      onSuccess: () => setTyped(""),
    });
  };
  return (
    <ActForm className="space-y-4" isOut={signIn.isPending} onSubmit={submit}>
      <input
        aria-hidden
        autoComplete="username"
        className="sr-only"
        name="username"
        readOnly
        tabIndex={-1}
        value={`Conduit at ${location.host}`}
      />
      <Field
        autoComplete="current-password"
        hint="It is sent once, for a cookie that no script can read, and kept nowhere."
        label="API key"
        name="password"
        onChange={(event) => {
          setTyped(event.target.value);
          if (!signIn.isPending) signIn.reset();
        }}
        problem={signIn.error && whyNot(asApiError(signIn.error), key)}
        ref={field}
        spellCheck={false}
        type="password"
        value={typed}
      />
      <p aria-live="assertive" className="sr-only">
        {signIn.error && whyNot(asApiError(signIn.error), key)}
      </p>
      {!window.isSecureContext && (
        <p className="text-warn">
          This page came without TLS: whoever is on the way can read what you type.
        </p>
      )}
      <p className="text-dim text-xs">
        The first key was shown in the server's terminal when it was first started with
        authentication; else it is in the file <code>conduit-admin-key</code> beside the database,
        or where <code>CONDUIT_ADMIN_KEY_FILE</code> says. If it is lost,{" "}
        <code>conduit store admin-key</code> makes another one, while the server is stopped.
      </p>
      <Button
        look="primary"
        told="after"
        type="submit"
        unable={key === "" ? "Type the key first" : null}
      >
        {signIn.isPending ? "Signing in…" : "Sign in"}
      </Button>
    </ActForm>
  );
}
