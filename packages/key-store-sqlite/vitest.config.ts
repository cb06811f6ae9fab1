import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "key-store-sqlite", include: ["test/**/*.test.ts"] } });
