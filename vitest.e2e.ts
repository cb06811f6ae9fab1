import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

/** The end-to-end tests of one package: the whole of it, on a real homeserver. */
function project(root: string, test: TestProjectInlineConfiguration["test"] = {}): TestProjectInlineConfiguration {
  const name = root.split("/").at(-1) ?? root;
  return { extends: true, root, test: { name, include: ["e2e/**/*.test.ts"], ...test } };
}

export default defineConfig({
  test: {
    projects: [project("packages/client"), project("packages/dev-synapse", { include: ["test/**/*.test.ts"] })],
    // matrix-js-sdk says a great deal.
    silent: "passed-only",
    // One waits for its Synapse most of the time.
    maxWorkers: 2,
    testTimeout: 60_000,
    // What is polled for comes when the machine gets to it: a limit of one second says nothing about it.
    expect: { poll: { timeout: 50_000 } },
    // The first run on a machine builds a Debian with Synapse.
    hookTimeout: 1_500_000,
  },
});
