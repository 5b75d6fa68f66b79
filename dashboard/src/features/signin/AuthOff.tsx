import { serverUrl } from "@/api/place";
import { Snippet } from "@/components/Snippet";
import { Empty } from "@/components/states";
import { startWithKeys } from "@/features/signin/model";

/** On pages that mean something only where everybody has to say who he is. */
export function AuthOff({ what }: { readonly what: string }) {
  return (
    <div className="max-w-3xl space-y-3">
      <Empty title={`Authentication is off: there are no ${what}`}>
        Whoever reaches this server may do everything. With keys, each has the rights that it was
        given, tenants cannot see each other, and the audit log says who did what. All that is there
        now stays, in the tenant “default”.
      </Empty>
      <p>
        Start the server with the same settings as now, above all the same <code>DATABASE_URL</code>
        , and with <code>ENABLE_AUTH=true</code>. Its first key is shown in its terminal, once;
        where there is none, it is in the file <code>conduit-admin-key</code> beside the database.
      </p>
      <Snippet
        label="In a checkout, where make run has started it"
        text={startWithKeys(serverUrl())}
      />
    </div>
  );
}
