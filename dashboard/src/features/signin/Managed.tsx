import { useQuery } from "@tanstack/react-query";
import { managedTopics } from "@/services/rights";
import { whoamiQuery } from "@/services/server";

/** The topics that the key manages, in words, if it does not manage all. */
export function useManaged(): string | null {
  const { data: who } = useQuery(whoamiQuery());
  return who ? managedTopics(who) : null;
}

/** Says above a list that it is not one of all, to whoever may manage some topics alone. */
export function OnlyManaged({ what }: { readonly what: string }) {
  const managed = useManaged();
  if (managed === null) return null;
  return (
    <p className="break-words text-dim text-sm">
      Only {what} of topics that your key may manage: {managed}.
    </p>
  );
}
