import { Link } from "@tanstack/react-router";
import { ArrowLeft } from "lucide-react";
import type { ReactNode } from "react";
import { type List, searchedIn } from "@/components/lists";

/** The way back to a list, as it was left; Esc takes it too. */
export function Back({ children, to }: { readonly children: ReactNode; readonly to: List }) {
  return (
    <Link
      className="inline-flex items-center gap-1 text-dim hover:underline"
      data-back
      search={{ q: searchedIn(to) }}
      to={to}
    >
      <ArrowLeft aria-hidden className="size-4" /> {children}
    </Link>
  );
}
