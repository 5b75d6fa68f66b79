import { useEffect, useState } from "react";
import { inputClass } from "@/components/Field";

interface SearchBoxProps {
  readonly className?: string;
  /** Whether the key for searching comes here. */
  readonly isMain?: boolean;
  readonly label: string;
  readonly onSearch: (text: string) => void;
  readonly placeholder: string;
  readonly text: string;
}

// Between what is typed and what is asked for.
const TYPING_MS = 250;

/** What is typed goes into the address a moment later; what the address says is shown. */
export function SearchBox(props: SearchBoxProps) {
  const { className = "max-w-md", isMain = false, label, onSearch, placeholder, text } = props;
  const [typed, setTyped] = useState(text);
  const [seen, setSeen] = useState(text);
  // On its way into the address: what is typed meanwhile is not to be lost when it has arrived.
  const [sent, setSent] = useState<string | null>(null);
  if (text !== seen) {
    // The address has changed by itself: back, a link, or what was typed a moment ago.
    setSeen(text);
    setSent(null);
    if (text !== sent) setTyped(text);
  }
  useEffect(() => {
    if (typed === text) return;
    const timer = setTimeout(() => {
      setSent(typed);
      onSearch(typed);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, text, onSearch]);
  return (
    <input
      aria-label={label}
      className={`${inputClass} ${className}`}
      data-search={isMain ? "" : undefined}
      onChange={(event) => setTyped(event.target.value)}
      placeholder={placeholder}
      spellCheck={false}
      type="search"
      value={typed}
    />
  );
}
