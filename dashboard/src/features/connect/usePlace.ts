import { useQuery } from "@tanstack/react-query";
import { serverUrl } from "@/api/place";
import type { Place } from "@/features/connect/acts";
import { useTenant, whoamiQuery } from "@/services/server";

/** What is typed elsewhere goes to this server, and to the tenant that is looked at here. */
export function usePlace(): Place {
  const { data } = useQuery(whoamiQuery());
  const { chosen: tenant } = useTenant();
  const hasAuth = data !== undefined && data.actor !== "anonymous";
  return { hasAuth, tenant, url: serverUrl() };
}
