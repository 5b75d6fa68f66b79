// The tree of addresses, each with what its search may hold. A page's code comes when it is shown.

import "@/api/withoutEval";

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  retainSearchParams,
  stripSearchParams,
} from "@tanstack/react-router";
import { z } from "zod";
import { setCaller } from "@/api/caller";
import { uiPath } from "@/api/place";
import { fromServer } from "@/components/code";
import { LETTERS_DEFAULTS, LettersSearch } from "@/features/deadLetters/model";
import { LOOK_DEFAULTS, LookSearch } from "@/features/messages/look";
import { PLAYGROUND_DEFAULTS, PlaygroundSearch } from "@/features/playground/look";
import { Shell } from "@/features/shell/Shell";
import { NotFoundPage, PageFailed } from "@/routes/failures";
import { parseSearch, stringifySearch } from "@/routes/search";

// What goes without saying is in no address. What an address says that is not understood counts as not said: an old link
// still shows the page. But for what is searched for: that is asked for as it is, and the server says what is wrong with it.
const RootSearch = z.object({ tenant: z.string().max(255).optional().catch(undefined) });
// In seconds since 1970.
const Moment = z.coerce.number().int().positive().optional().catch(undefined);
const OverviewSearch = z.object({
  from: Moment,
  range: z.enum(["5m", "15m", "1h", "6h", "24h"]).default("15m").catch("15m"),
  to: Moment,
});
const NamesSearch = z.object({ q: z.coerce.string().default("") });
/** `create`: the dialog that makes one opens. */
const TopicsSearch = NamesSearch.extend({ create: z.literal("true").optional().catch(undefined) });
const MessagesSearch = z.object({
  ...LookSearch,
  topic: z.coerce.string().default(""),
});
const TopicSearch = z.object({
  ...LookSearch,
  tab: z
    .enum(["summary", "messages", "subscriptions", "dead", "settings", "connect"])
    .default("summary")
    .catch("summary"),
});
const ApiKeysSearch = z.object({
  key: z.string().max(64).optional().catch(undefined),
  keys: z.enum(["good", "all"]).default("good").catch("good"),
});
const TenantsSearch = z.object({ name: z.string().max(63).optional().catch(undefined) });
const Filter = z.coerce.string().default("");
const AuditSearch = z.object({
  action: Filter,
  actor: Filter,
  past: z.enum(["1h", "1d", "7d", "all"]).default("all").catch("all"),
});
const SubscriptionSearch = z.object({
  tab: z.enum(["summary", "subscribers", "settings"]).default("summary").catch("summary"),
});

const root = createRootRoute({
  // A link that is only pointed at has its page's code fetched, and changes nothing.
  beforeLoad: ({ preload, search }) => {
    if (!preload) setCaller({ tenant: search.tenant ?? null });
  },
  component: Shell,
  errorComponent: PageFailed,
  notFoundComponent: NotFoundPage,
  search: { middlewares: [retainSearchParams(["tenant"])] },
  validateSearch: RootSearch,
});

const parent = () => root;
// A page whose code does not come is a page that has failed, beside all that goes on around it. Under its own name the
// router would load everything anew, also where the server is away.
const page: typeof lazyRouteComponent = (importer, name) =>
  lazyRouteComponent(fromServer(importer), name);

const routes = [
  createRoute({
    component: page(() => import("@/routes/overview"), "OverviewPage"),
    getParentRoute: parent,
    path: "/",
    search: { middlewares: [stripSearchParams({ range: "15m" })] },
    validateSearch: OverviewSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/topics"), "TopicsPage"),
    getParentRoute: parent,
    path: "/topics",
    search: { middlewares: [stripSearchParams({ q: "" })] },
    validateSearch: TopicsSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/topic"), "TopicPage"),
    getParentRoute: parent,
    path: "/topics/$name",
    search: { middlewares: [stripSearchParams({ ...LOOK_DEFAULTS, tab: "summary" })] },
    validateSearch: TopicSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/messages"), "MessagesPage"),
    getParentRoute: parent,
    path: "/messages",
    search: { middlewares: [stripSearchParams({ ...LOOK_DEFAULTS, topic: "" })] },
    validateSearch: MessagesSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/deadLetters"), "DeadLettersPage"),
    getParentRoute: parent,
    path: "/dead-letters",
    search: { middlewares: [stripSearchParams(LETTERS_DEFAULTS)] },
    validateSearch: LettersSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/subscriptions"), "SubscriptionsPage"),
    getParentRoute: parent,
    path: "/subscriptions",
    search: { middlewares: [stripSearchParams({ q: "" })] },
    validateSearch: NamesSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/subscription"), "SubscriptionPage"),
    getParentRoute: parent,
    path: "/subscriptions/$name",
    search: { middlewares: [stripSearchParams({ tab: "summary" })] },
    validateSearch: SubscriptionSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/nodes"), "NodesPage"),
    getParentRoute: parent,
    path: "/nodes",
  }),
  createRoute({
    component: page(() => import("@/routes/playground"), "PlaygroundPage"),
    getParentRoute: parent,
    path: "/playground",
    search: { middlewares: [stripSearchParams(PLAYGROUND_DEFAULTS)] },
    validateSearch: z.object(PlaygroundSearch),
  }),
  createRoute({
    component: page(() => import("@/routes/apiKeys"), "ApiKeysPage"),
    getParentRoute: parent,
    path: "/api-keys",
    search: { middlewares: [stripSearchParams({ keys: "good" })] },
    validateSearch: ApiKeysSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/tenants"), "TenantsPage"),
    getParentRoute: parent,
    path: "/tenants",
    validateSearch: TenantsSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/audit"), "AuditPage"),
    getParentRoute: parent,
    path: "/audit",
    search: { middlewares: [stripSearchParams({ action: "", actor: "", past: "all" })] },
    validateSearch: AuditSearch,
  }),
] as const;

export function createDashboardRouter() {
  return createRouter({
    basepath: uiPath(),
    defaultErrorComponent: PageFailed,
    defaultPreload: "intent",
    parseSearch,
    routeTree: root.addChildren(routes),
    scrollRestoration: true,
    stringifySearch,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createDashboardRouter>;
  }
}
