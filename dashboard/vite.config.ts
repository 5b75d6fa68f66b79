import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { precompressed } from "./build/precompressed";

// The server under test, for `npm run dev`.
const API = process.env.CONDUIT_URL ?? "http://127.0.0.1:8080";
const PATHS = ["/api", "/health", "/docs", "/openapi.json"];

export default defineConfig(({ command }) => ({
  // Relative, so that the pages work wherever a proxy puts them.
  base: command === "build" ? "./" : "/ui/",
  build: {
    // Nothing is a data: address, which the pages' policy forbids.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  plugins: [react(), tailwindcss(), precompressed()],
  resolve: { alias: { "@": fileURLToPath(new URL("src", import.meta.url)) } },
  server: {
    proxy: {
      ...Object.fromEntries(PATHS.map((path) => [path, API])),
      "/ws": { target: API, ws: true },
    },
  },
  test: {
    environment: "happy-dom",
    environmentOptions: { happyDOM: { url: "http://conduit.test/ui/" } },
    include: ["src/**/*.test.{ts,tsx}", "build/**/*.test.ts"],
    // A world of its own for each file would be nine tenths of the time.
    isolate: false,
    setupFiles: ["src/test/setup.ts"],
  },
}));
