import "@/api/withoutEval";

import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { onCallerChange } from "@/api/caller";
import { applyTheme } from "@/features/theme/theme";
import { createDashboardRouter } from "@/routes/router";
import { createQueryClient } from "@/services/client";
import { isOfPages } from "@/services/server";
import "@/styles.css";

applyTheme();
const client = createQueryClient();
// What one tenant has is not another one's. Who asks is the same.
onCallerChange(() => void client.resetQueries({ predicate: isOfPages }));

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      {/* The pages' policy allows no style elements. */}
      <CSPProvider disableStyleElements>
        <QueryClientProvider client={client}>
          <RouterProvider router={createDashboardRouter()} />
        </QueryClientProvider>
      </CSPProvider>
    </StrictMode>,
  );
}
