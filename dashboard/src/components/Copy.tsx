import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "@/components/Button";

interface CopyProps {
  readonly label: string;
  /** In place of "Copy". */
  readonly shown?: string;
  readonly text: string;
}

// How long it says that it was done.
const SAID_MS = 1_500;

export function Copy({ label, shown = "Copy", text }: CopyProps) {
  const [said, setSaid] = useState<string | null>(null);
  useEffect(() => {
    if (said === null) return;
    const timer = setTimeout(() => setSaid(null), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      // Not there on a page that came by plain HTTP from another machine.
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Not allowed: select it and copy");
    }
  };
  const Icon = said === "Copied" ? Check : CopyIcon;
  return (
    <Button aria-label={said === null ? label : `${said}: ${label}`} look="quiet" onClick={copy}>
      <Icon aria-hidden className="size-4" />
      <span aria-live="polite">{said ?? shown}</span>
    </Button>
  );
}
