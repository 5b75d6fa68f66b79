import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { setCaller, useCaller } from "@/api/caller";
import { asApiError } from "@/api/errors";
import { Button } from "@/components/Button";
import { Field } from "@/components/Field";
import { whoamiQuery } from "@/services/server";

/** The page, or, where the server wants to know who asks and nobody has said it, a place to say it. */
export function Gate({ children }: { readonly children: ReactNode }) {
  const { error } = useQuery(whoamiQuery());
  return error && asApiError(error).code === "unauthenticated" ? <SignIn /> : children;
}

function SignIn() {
  const { key } = useCaller();
  const [typed, setTyped] = useState("");
  return (
    <form
      className="mx-auto mt-[10vh] max-w-md space-y-4 rounded-lg border border-line bg-surface p-6"
      onSubmit={(event) => {
        event.preventDefault();
        if (typed.trim() !== "") setCaller({ key: typed.trim() });
      }}
    >
      <h1 className="font-semibold text-lg">Sign in</h1>
      <p className="text-dim">
        This server asks for an API key. It stays in the memory of this page, and is forgotten when
        the page is closed or loaded again.
      </p>
      <Field
        autoComplete="off"
        label="API key"
        onChange={(event) => setTyped(event.target.value)}
        problem={key === null ? null : "This key is wrong, or not good any more."}
        type="password"
        value={typed}
      />
      <Button look="primary" type="submit">
        Sign in
      </Button>
    </form>
  );
}
