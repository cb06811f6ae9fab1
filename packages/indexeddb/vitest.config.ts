import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "indexeddb", include: ["test/**/*.test.ts"] } });
