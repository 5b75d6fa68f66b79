import { Link } from "@tanstack/react-router";
import { PAGES } from "@/features/pages";

interface NavigationProps {
  readonly onGo?: () => void;
}

export function Navigation({ onGo }: NavigationProps) {
  return (
    <nav aria-label="Pages">
      <ul className="space-y-0.5">
        {PAGES.map(({ icon: Icon, label, to }) => (
          <li key={to}>
            <Link
              activeOptions={{ exact: to === "/", includeSearch: false }}
              activeProps={{ className: "bg-raised font-semibold text-accent" }}
              className="flex min-h-9 items-center gap-2.5 rounded-md px-2.5 hover:bg-raised"
              {...(onGo && { onClick: onGo })}
              to={to}
            >
              <Icon aria-hidden className="size-4" />
              {label}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
