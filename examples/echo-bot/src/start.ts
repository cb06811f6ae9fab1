import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDevHomeserver } from "@holdfast/dev-homeserver";

const { env } = process;

// Without an account to run on, the bot brings a homeserver along.
if (env.MATRIX_HOMESERVER === undefined && env.MATRIX_USER_ID === undefined) {
  const homeserver = await startDevHomeserver({ port: Number(env.PORT ?? 8008) });
  const { userId } = await homeserver.registerUser("echo", "echo");
  Object.assign(env, {
    MATRIX_HOMESERVER: homeserver.baseUrl,
    MATRIX_USER_ID: userId,
    MATRIX_PASSWORD: "echo",
    MATRIX_DEVICE_ID: "ECHO",
    USE_POSTGRES_STORE: "false",
    // New keys for a new homeserver: it would not know those of the last one.
    KEY_STORE_SQLITE_PATH: join(mkdtempSync(join(tmpdir(), "echo-bot-")), "keys.sqlite"),
  });
  console.info(`A homeserver for development runs at ${homeserver.baseUrl}: it forgets everything when it ends.`);
  console.info(
    "Register any user there with a Matrix client, invite the bot to a room, encrypted or not, and talk to it:",
  );
  console.info(`  homeserver ${homeserver.baseUrl}   the bot ${userId}`);
  console.info(
    "To run the bot on an account of yours: MATRIX_HOMESERVER, MATRIX_USER_ID, MATRIX_PASSWORD; see the README.",
  );
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void homeserver.close());
}

await import("./bot.ts");
