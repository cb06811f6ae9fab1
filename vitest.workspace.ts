import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      "packages/*",
      "demo",
      { test: { name: "workspace", include: ["test/**/*.test.ts"] } },
    ],
    // Two cores: more workers would only make the time limits of a real database meaningless.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
