import { Cable, Keyboard, Menu, Search } from "lucide-react";
import { Button } from "@/components/Button";
import { ChosenTenant, PaceChoice, TenantChoice, ThemeChoice } from "@/features/shell/choices";
import { ConnectionState, Environment } from "@/features/shell/Environment";
import type { Sheet } from "@/features/shell/Shell";
import { Account } from "@/features/signin/Account";

interface HeaderProps {
  readonly onSheet: (sheet: Sheet) => void;
}

export function Header({ onSheet }: HeaderProps) {
  return (
    <header className="sticky top-0 z-30 flex flex-wrap items-center gap-x-2 gap-y-1 border-line border-b bg-surface px-3 py-2">
      <Button
        aria-label="Pages"
        className="px-2 md:hidden"
        look="quiet"
        onClick={() => onSheet("navigation")}
      >
        <Menu aria-hidden className="size-4" />
      </Button>
      <span className="mr-1 font-bold text-base tracking-tight">Conduit</span>
      <Environment />
      <ConnectionState />
      <div className="ml-auto flex flex-wrap items-center gap-1.5">
        <div className="contents max-sm:hidden">
          <TenantChoice />
        </div>
        <Button className="text-dim max-sm:px-2" onClick={() => onSheet("palette")}>
          <Search aria-hidden className="size-4" />
          <span className="max-lg:sr-only">Go to</span>
          <kbd aria-hidden className="font-mono text-xs max-lg:hidden">
            {commandKey()} K
          </kbd>
        </Button>
        <div className="contents max-sm:hidden">
          <PaceChoice />
          <ThemeChoice />
        </div>
        <Button className="max-sm:hidden" onClick={() => onSheet("connect")}>
          <Cable aria-hidden className="size-4" />
          <span className="max-lg:sr-only">Connect</span>
        </Button>
        <Button
          aria-label="Keys"
          className="px-2 max-sm:hidden"
          look="quiet"
          onClick={() => onSheet("keys")}
        >
          <Keyboard aria-hidden className="size-4" />
        </Button>
        <Account />
      </div>
      <ChosenTenant />
    </header>
  );
}

function commandKey(): string {
  return /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl";
}
