// The tree of addresses, each with what its search may hold. A page's code comes when it is shown.

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
import { LETTERS_DEFAULTS, LettersSearch } from "@/features/deadLetters/model";
import { Shell } from "@/features/shell/Shell";
import { NotFoundPage, PageFailed } from "@/routes/failures";

// What goes without saying is in no address. What an address says that is not understood counts as not said: an old link still shows the page.
const RootSearch = z.object({ tenant: z.string().max(255).optional().catch(undefined) });
const OverviewSearch = z.object({ range: z.enum(["5m", "15m", "1h"]).default("15m").catch("15m") });
const TopicsSearch = z.object({ q: z.coerce.string().max(255).default("").catch("") });
const TopicSearch = z.object({
  tab: z.enum(["summary", "settings", "connect"]).default("summary").catch("summary"),
});
const SubscriptionSearch = z.object({
  tab: z.enum(["summary", "subscribers", "settings"]).default("summary").catch("summary"),
});

const root = createRootRoute({
  beforeLoad: ({ search }) => setCaller({ tenant: search.tenant ?? null }),
  component: Shell,
  errorComponent: PageFailed,
  notFoundComponent: NotFoundPage,
  search: { middlewares: [retainSearchParams(["tenant"])] },
  validateSearch: RootSearch,
});

const parent = () => root;
const page = lazyRouteComponent;

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
    search: { middlewares: [stripSearchParams({ tab: "summary" })] },
    validateSearch: TopicSearch,
  }),
  createRoute({
    component: page(() => import("@/routes/notYet"), "MessagesPage"),
    getParentRoute: parent,
    path: "/messages",
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
    validateSearch: TopicsSearch,
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
    component: page(() => import("@/routes/notYet"), "PlaygroundPage"),
    getParentRoute: parent,
    path: "/playground",
  }),
] as const;

export function createDashboardRouter() {
  return createRouter({
    basepath: uiPath(),
    defaultErrorComponent: PageFailed,
    defaultPreload: "intent",
    routeTree: root.addChildren(routes),
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createDashboardRouter>;
  }
}
