import { Snippet } from "@/components/Snippet";
import { Empty } from "@/components/states";

/** On pages that mean something only where everybody has to say who he is. */
export function AuthOff({ what }: { readonly what: string }) {
  return (
    <div className="max-w-3xl space-y-3">
      <Empty title={`Authentication is off: there are no ${what}`}>
        Whoever reaches this server may do everything. With keys, each has the rights that it was
        given, tenants cannot see each other, and the audit log says who did what. All that is there
        now stays, in the tenant “default”.
      </Empty>
      <Snippet
        label="Start the server so; the first key is shown there once, or is in a file beside the database"
        text="ENABLE_AUTH=true conduit serve"
      />
    </div>
  );
}
