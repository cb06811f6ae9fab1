import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "key-store-core", include: ["test/**/*.test.ts"] } });
