import { sameIdentity } from "@holdfast/dev-homeserver/party";
import type { KeyStoreStats } from "@holdfast/key-store-core";
import { read, send } from "./killed-and-back.ts";
import type { Stage } from "./stage.ts";

const MESSAGES = 5;

/** What a start without PostgreSQL showed. */
export interface WithoutPostgres {
  readonly unread: number;
  readonly stats: KeyStoreStats;
}

/** A new device is configured for PostgreSQL, which is not there: it starts on SQLite, says so, and reads. */
export async function withoutPostgres(
  stage: Stage,
  environment: Readonly<Record<string, string>>,
): Promise<WithoutPostgres> {
  const { story, sender } = stage;
  const credentials = await stage.account("newcomer");
  const lines: string[] = [];
  const receiver = stage.receiver(await stage.directory("newcomer"), environment, (line) => lines.push(line));
  const start = await story.step("a new device starts", () => receiver.call("start", [credentials]));
  story.expect(
    !start.keyStoreAvailable && start.degraded && start.mode === "development" && start.store === "SQLite",
    `A new device starts anyway: keyStoreAvailable is ${start.keyStoreAvailable}, the mode ${start.mode}, on ${start.store}.`,
    `A new device starts as if PostgreSQL were there: on ${start.store}, mode ${start.mode}.`,
  );
  story.expect(
    lines.some((line) => line.startsWith("PostgreSQL key store unavailable: ")) &&
      lines.includes("Using SQLite store for development"),
    "Its log says what is missing, and what is used in its place.",
    "Its log does not say what is missing and what is used in its place.",
  );
  story.expect(
    sameIdentity(start.identity, start.published),
    `It has published its keys, identity ${start.identity.ed25519.slice(0, 12)}…`,
    "The homeserver does not show the identity that it has.",
  );
  const room = await sender.call("createRoom", [[credentials.userId], MESSAGES]);
  await receiver.call("join", [room]);
  const messages = await send(stage, room, "without PostgreSQL", MESSAGES);
  const { read: readable, complaints } = await read(stage, receiver, messages);
  story.expect(
    readable === MESSAGES,
    `It reads ${MESSAGES} encrypted messages.`,
    `It reads only ${readable} of ${MESSAGES} messages: ${complaints}`,
  );
  const stats = await receiver.call("stats", []);
  await receiver.call("close", []);
  return { unread: MESSAGES - readable, stats };
}
