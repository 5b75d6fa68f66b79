import { useQuery } from "@tanstack/react-query";
import { useMatches, useNavigate } from "@tanstack/react-router";
import { useCaller } from "@/api/caller";
import { setTheme, THEMES, type Theme, useTheme } from "@/features/theme/theme";
import { PACES, setPace, usePace } from "@/live/pace";
import { reasonAgainst } from "@/services/rights";
import { tenantsQuery, whoamiQuery } from "@/services/server";

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

/** Whose things are shown. Who looks after all tenants can choose; it is in the address. */
export function TenantChoice() {
  const { tenant } = useCaller();
  const navigate = useNavigate();
  const who = useQuery(whoamiQuery());
  const mayChoose = who.data !== undefined && reasonAgainst(who.data, "admin") === null;
  const tenants = useQuery({ ...tenantsQuery(), enabled: mayChoose });
  const all = tenants.data?.tenants.map((each) => each.name) ?? [];
  const own = who.data?.tenant ?? "";
  const names = all.filter((name) => name !== own);
  // What one thing's page shows the other tenant does not have: there it is the page that lists them.
  const to =
    useMatches()
      .at(-1)
      ?.fullPath.replace(/\/\$.*$/, "") || "/";
  if (!mayChoose || all.length === 0) {
    return (
      (tenant ?? own) && (
        <span className="px-1 text-dim max-sm:hidden" title="The tenant">
          {tenant ?? own}
        </span>
      )
    );
  }
  return (
    <select
      aria-label="Tenant"
      className={LOOK}
      onChange={({ target }) =>
        void navigate({ search: { tenant: target.value || undefined }, to: to as "/" })
      }
      value={tenant === own ? "" : (tenant ?? "")}
    >
      <option value="">{own} (own)</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}
