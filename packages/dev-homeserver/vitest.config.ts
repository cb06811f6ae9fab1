import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "dev-homeserver", include: ["test/**/*.test.ts"] } });
