import { useQuery } from "@tanstack/react-query";
import { Outlet, rootRouteId, useNavigate, useSearch } from "@tanstack/react-router";
import { Cable } from "lucide-react";
import { Fragment, type ReactNode, Suspense, useEffect, useState } from "react";
import { Button } from "@/components/Button";
import { Modal } from "@/components/Modal";
import { Loading } from "@/components/states";
import { KeptSecret } from "@/features/apiKeys/KeptSecret";
import { Examples } from "@/features/connect/Examples";
import { KeySheet } from "@/features/keys/KeySheet";
import { keepFocus } from "@/features/keys/keepFocus";
import type { Act } from "@/features/keys/model";
import { focusRowOf, moveInRows, useKeys } from "@/features/keys/useKeys";
import { Palette } from "@/features/palette/Palette";
import { Banner } from "@/features/shell/Banner";
import { PaceChoice, TenantChoice, ThemeChoice } from "@/features/shell/choices";
import { Header } from "@/features/shell/Header";
import { Navigation } from "@/features/shell/Navigation";
import { Notices } from "@/features/shell/Notices";
import { Gate } from "@/features/signin/Gate";
import { whoamiQuery } from "@/services/server";

export type Sheet = "connect" | "keys" | "navigation" | "palette";

/** What is around every page: it stays when a page fails. */
export function Shell() {
  const [sheet, setSheet] = useState<Sheet | null>(null);
  const navigate = useNavigate();
  const close = () => setSheet(null);
  useEffect(keepFocus, []);
  useKeys((act) => perform(act, setSheet, (to) => void navigate({ to })));
  return (
    <div className="flex min-h-dvh flex-col">
      {/* biome-ignore lint/a11y/useValidAnchor: it leads to a place on this page, if not by its address */}
      <a
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-surface focus:p-3"
        href="#main"
        onClick={(event) => {
          // Where <base> is, and not this page, is what the address alone would mean.
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to the page
      </a>
      <Header onSheet={setSheet} />
      <Banner />
      <div className="flex min-h-0 flex-1">
        <aside className="w-52 shrink-0 border-line border-r bg-surface p-3 max-md:hidden">
          <div className="sticky top-16 max-h-[calc(100dvh-4.5rem)] overflow-y-auto">
            <Navigation />
          </div>
        </aside>
        <main className="min-w-0 flex-1 outline-none" id="main" tabIndex={-1}>
          <Gate>
            <Suspense fallback={<Loading what="the page" />}>
              <Anew>
                <Outlet />
              </Anew>
            </Suspense>
          </Gate>
        </main>
      </div>
      <Modal onClose={close} open={sheet === "navigation"} title="Pages">
        <Navigation onGo={close} />
        <div className="mt-4 flex flex-wrap gap-2 border-line border-t pt-4 sm:hidden">
          <TenantChoice />
          <PaceChoice />
          <ThemeChoice />
          <Button onClick={() => setSheet("connect")}>
            <Cable aria-hidden className="size-4" /> Connect
          </Button>
        </div>
      </Modal>
      <Modal
        about="The address is that of this page. Keys come from the environment, and are in no command."
        onClose={close}
        open={sheet === "connect"}
        title="Connect"
      >
        <Examples topic="demo" />
      </Modal>
      <KeySheet onClose={close} open={sheet === "keys"} />
      <Palette onClose={close} open={sheet === "palette"} />
      <KeptSecret />
      <Notices />
    </div>
  );
}

/** What was typed, chosen and opened is for one tenant, and by one who has signed in: not for the next. */
function Anew({ children }: { readonly children: ReactNode }) {
  const { tenant = "" } = useSearch({ from: rootRouteId });
  const { data } = useQuery(whoamiQuery());
  return <Fragment key={`${tenant} ${data?.actor} ${data?.tenant}`}>{children}</Fragment>;
}

function perform(act: Act, onSheet: (sheet: Sheet) => void, onGo: (to: string) => void): boolean {
  switch (act.kind) {
    case "go":
      onGo(act.to);
      return true;
    case "help":
      onSheet("keys");
      return true;
    case "palette":
      onSheet("palette");
      return true;
    case "search": {
      const field = document.querySelector<HTMLInputElement>("main [data-search]");
      if (field) field.focus();
      else onSheet("palette");
      return true;
    }
    case "back": {
      // What is open inside is left first.
      const link = [...document.querySelectorAll<HTMLElement>("main [data-back]")].at(-1);
      if (!link) return false;
      const left = new URL(location.href);
      link.click();
      focusRowOf(left);
      return true;
    }
    case "redrive":
      return clicked("main [data-redrive]");
    default:
      return moveInRows(act.kind);
  }
}

function clicked(selector: string): boolean {
  const found = document.querySelector<HTMLElement>(selector);
  found?.click();
  return found !== null;
}
