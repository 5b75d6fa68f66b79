// The pages of the dashboard, in the order of the navigation.

import {
  Activity,
  Building2,
  Inbox,
  KeyRound,
  type LucideIcon,
  MailX,
  MessagesSquare,
  Network,
  Play,
  ScrollText,
  Users,
} from "lucide-react";
import type { GoTo } from "@/features/keys/model";

export interface PageEntry {
  readonly icon: LucideIcon;
  readonly label: string;
  readonly to: GoTo;
}

export const PAGES: readonly PageEntry[] = [
  { icon: Activity, label: "Overview", to: "/" },
  { icon: Inbox, label: "Topics", to: "/topics" },
  { icon: MessagesSquare, label: "Messages", to: "/messages" },
  { icon: MailX, label: "Dead letters", to: "/dead-letters" },
  { icon: Users, label: "Subscriptions", to: "/subscriptions" },
  { icon: Network, label: "Nodes", to: "/nodes" },
  { icon: Play, label: "Playground", to: "/playground" },
  { icon: KeyRound, label: "API keys", to: "/api-keys" },
  { icon: Building2, label: "Tenants", to: "/tenants" },
  { icon: ScrollText, label: "Audit log", to: "/audit" },
];
