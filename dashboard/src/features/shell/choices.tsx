import { useQuery } from "@tanstack/react-query";
import { useMatches, useNavigate } from "@tanstack/react-router";
import { setTheme, THEMES, type Theme, useTheme } from "@/features/theme/theme";
import { PACES, setPace, usePace } from "@/live/pace";
import { mayChooseTenant } from "@/services/rights";
import { tenantsQuery, useShownTenant, useTenant, whoamiQuery } from "@/services/server";

const LOOK = "min-h-8 max-w-44 rounded-md border border-edge bg-surface px-2 py-1 text-ink";
const THEME_LABELS: Readonly<Record<Theme, string>> = {
  dark: "Dark",
  light: "Light",
  system: "System",
};

export function PaceChoice() {
  const pace = usePace();
  return (
    <select
      aria-label="How often it is refreshed"
      className={LOOK}
      onChange={(event) => setPace(PACES[event.target.selectedIndex]?.ms ?? null)}
      value={String(pace)}
    >
      {PACES.map(({ label, ms }) => (
        <option key={label} value={String(ms)}>
          {label}
        </option>
      ))}
    </select>
  );
}

export function ThemeChoice() {
  const theme = useTheme();
  return (
    <select
      aria-label="Theme"
      className={LOOK}
      onChange={(event) => setTheme(event.target.value as Theme)}
      value={theme}
    >
      {THEMES.map((each) => (
        <option key={each} value={each}>
          {THEME_LABELS[each]}
        </option>
      ))}
    </select>
  );
}

/** Shows the things of this tenant; null: of all together, where a page can. */
export function useChooseTenant(): (name: string | null) => void {
  const navigate = useNavigate();
  // What one thing's page shows the other tenant does not have: there it is the page that lists them.
  const to =
    useMatches()
      .at(-1)
      ?.fullPath.replace(/\/\$.*$/, "") || "/";
  return (name) => void navigate({ search: { tenant: name ?? undefined }, to: to as "/" });
}

// To an operator who has chosen no tenant these are of all of them, or of the server.
const OF_ALL: ReadonlySet<string> = new Set(["/", "/audit", "/nodes", "/tenants"]);

/** The operator's own tenant, where he has chosen none, has several to choose from, and the page is of one alone: then
 * it is of his own. Else null. */
export function useTakenTenant(): string | null {
  const shown = useShownTenant();
  const { own } = useTenant();
  const tenants = useQuery({ ...tenantsQuery(), enabled: shown === null });
  const path = useMatches().at(-1)?.fullPath ?? "/";
  const isOneOfMany = (tenants.data?.tenants.length ?? 0) > 1;
  return shown === null && !OF_ALL.has(path) && isOneOfMany ? (own ?? null) : null;
}

/** Whose things are shown, where the choice of it is not on the page but in the menu. */
export function ChosenTenant() {
  const { chosen, own } = useTenant();
  return (
    chosen !== null && (
      <p className="flex w-full text-xs sm:hidden">
        <span className="shrink-0 whitespace-pre text-dim">All here is of tenant </span>
        <strong className="truncate font-semibold">{chosen}</strong>
        {chosen === own && <span className="shrink-0 whitespace-pre text-dim"> (own)</span>}
      </p>
    )
  );
}

/** Whose things are shown. Who looks after all tenants can choose; it is in the address. */
export function TenantChoice() {
  const { chosen, own } = useTenant();
  const choose = useChooseTenant();
  const who = useQuery(whoamiQuery());
  const mayChoose = who.data !== undefined && mayChooseTenant(who.data);
  const tenants = useQuery({ ...tenantsQuery(), enabled: mayChoose });
  const all = tenants.data?.tenants.map((each) => each.name) ?? [];
  // The own one first. One that is not there is what is chosen all the same.
  const names = new Set([own ?? "", ...all, chosen ?? ""].filter(Boolean));
  const shown = chosen ?? own;
  if (!mayChoose || all.length === 0) {
    return (
      shown && (
        <span className="px-1 text-dim max-sm:hidden" title="The tenant">
          {shown}
        </span>
      )
    );
  }
  return (
    <select
      aria-label="Tenant"
      className={LOOK}
      onChange={({ target }) => choose(target.value || null)}
      value={chosen ?? ""}
    >
      <option value="">All tenants</option>
      {[...names].map((name) => (
        <option key={name} value={name}>
          {name === own ? `${name} (own)` : name}
        </option>
      ))}
    </select>
  );
}
