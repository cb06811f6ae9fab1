import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: ["packages/*"],
    // Two cores: more workers only make the timeouts of a real database meaningless.
    maxWorkers: 2,
  },
});
