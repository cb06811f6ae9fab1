import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "key-store-memory", include: ["test/**/*.test.ts"] } });
