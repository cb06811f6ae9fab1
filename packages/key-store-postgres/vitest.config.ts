import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "key-store-postgres", include: ["test/**/*.test.ts"] } });
