import { randomBytes } from "node:crypto";
import { startDevHomeserver } from "@holdfast/dev-homeserver";
import { startPostgres } from "@holdfast/dev-postgres";
import { killedAndBack } from "./killed-and-back.ts";
import { setStage } from "./stage.ts";
import { statsTable } from "./stats-table.ts";
import { Story } from "./story.ts";
import { withoutPostgres } from "./without-postgres.ts";

const SQLITE = { USE_POSTGRES_STORE: "false", KEY_STORE_SQLITE_PATH: "keys.sqlite" };

const story = new Story();
const cleanup = new AsyncDisposableStack();
// The children and the directories end at the exit, PostgreSQL by its own guard.
process.once("SIGINT", () => process.exit(130));

try {
  await play();
} catch (error) {
  story.broken(error);
}
await cleanup.disposeAsync();
// Said outright: the embedded PostgreSQL's package ends the process with 0 whatever its exit code was set to.
process.exit(story.failures === 0 ? 0 : 1);

async function play(): Promise<void> {
  const started = performance.now();
  const homeserver = cleanup.use(await startDevHomeserver());
  const stage = await setStage(story, homeserver, cleanup);
  story.line(
    [
      "A sender and a receiver, each a process of its own with Matrix's own crypto engine,",
      `exchange encrypted messages through a small homeserver on ${homeserver.url}.`,
    ].join("\n"),
  );

  story.heading("1. SQLite: killed in the middle of a sync");
  const key = { KEY_STORE_KEY: randomBytes(32).toString("base64") };
  const onSqlite = await killedAndBack(stage, {
    username: "receiver-on-sqlite",
    store: "SQLite",
    environment: { ...SQLITE, ...key },
    disk: "kept",
  });

  story.heading("2. PostgreSQL: killed, and back as a new container with an empty disk");
  const postgres = cleanup.use(await story.step("a real PostgreSQL starts", () => startPostgres()));
  const environment = {
    DATABASE_URL: postgres.url(),
    KEY_STORE_SQLITE_PATH: "keys.sqlite",
    ...key,
  };
  const onPostgres = await killedAndBack(stage, {
    username: "receiver-on-postgres",
    store: "PostgreSQL",
    environment,
    disk: "empty",
  });

  story.heading("3. PostgreSQL is stopped");
  await story.step("PostgreSQL stops", () => postgres.stop());
  const fallback = await withoutPostgres(stage, environment);

  story.heading("4. What the stores say of themselves");
  statsTable(story, [
    ["SQLite", onSqlite.stats],
    ["PostgreSQL", onPostgres.stats],
    ["SQLite, in its place", fallback.stats],
  ]);

  story.heading("What happened");
  story.table(
    ["store", "sent", "read before the kill", "after it: old", "new", "unread", "identity", "restart"],
    [onSqlite, onPostgres].map((outcome) => [
      outcome.store,
      String(outcome.sent),
      outcome.before,
      outcome.old,
      outcome.new,
      String(outcome.unread),
      outcome.identity,
      `${Math.round(outcome.restartMs)} ms`,
    ]),
  );
  const seconds = Math.round((performance.now() - started) / 1_000);
  story.line();
  story.expect(
    story.failures === 0,
    `Every message was read, and no identity changed. ${seconds} s.`,
    `${story.failures} of the above went wrong. ${seconds} s.`,
  );
}
