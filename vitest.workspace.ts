import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

/** The tests of one folder, under the name of it. */
function project(root: string, test: TestProjectInlineConfiguration["test"] = {}): TestProjectInlineConfiguration {
  const name = root.split("/").at(-1) ?? root;
  return { extends: true, root, test: { name, include: ["test/**/*.test.ts"], ...test } };
}

export default defineConfig({
  test: {
    projects: [
      project("packages/key-store-core"),
      project("packages/key-store-memory"),
      project("packages/key-store-sqlite"),
      project("packages/key-store-postgres", {
        globalSetup: [`${import.meta.dirname}/packages/key-store-postgres/test/global-setup.ts`],
      }),
      project("packages/indexeddb"),
      project("packages/client"),
      project("packages/dev-homeserver"),
      project("packages/dev-postgres"),
      project("bench"),
      project("chaos"),
      project("examples/adapter-file"),
      { extends: true, test: { name: "workspace", include: ["test/**/*.test.ts"] } },
    ],
    // Two cores: more workers would only make the time limits of a real database meaningless.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What is polled for comes when the machine gets to it: a limit of one second says nothing about it.
    expect: { poll: { timeout: 100_000 } },
  },
});
