import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient, inMemoryEngine, Party } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { register, SendingClient } from "./support/sending-client.ts";

const MEGOLM = { algorithm: "m.megolm.v1.aes-sha2" };

let homeserver: DevHomeserver;
const open: SendingClient[] = [];

beforeEach(async () => {
  homeserver = await startDevHomeserver();
});

afterEach(async () => {
  for (const client of open.splice(0)) await client.close();
  await homeserver.close();
});

const opened = async (client: SendingClient | Promise<SendingClient>): Promise<SendingClient> => {
  open.push(await client);
  return client;
};

const bot = async (name = "bot"): Promise<SendingClient> =>
  opened(SendingClient.open(await register(homeserver.url, name)));

/** The other side: an engine of its own, driven by other code. */
async function other(name: string): Promise<Party> {
  const client = await HomeserverClient.register(homeserver.url, name);
  const { userId, deviceId } = client.credentials;
  const party = new Party({ client, engine: await inMemoryEngine(userId, deviceId) });
  await party.flush();
  return party;
}

const bodies = (received: readonly { kind: string; content?: unknown }[]): unknown[] =>
  received
    .filter(({ kind }) => kind !== "plain")
    .map((event) => (event.content as { body?: string })?.body ?? event.kind);

describe("a message to an encrypted room", () => {
  it("is read by those who are in it, and is ciphertext on the homeserver", async () => {
    const sender = await bot();
    const alice = await other("alice");
    const room = await sender.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
    await alice.join(room);
    await sender.sync();
    const { eventId } = await sender.outbox.send(room, "m.room.message", { msgtype: "m.text", body: "hello" });
    const [event] = await sender.timeline(room);
    expect(event).toMatchObject({ event_id: eventId, type: "m.room.encrypted" });
    expect(Object.keys(event?.content ?? {}).sort()).toEqual([
      "algorithm",
      "ciphertext",
      "device_id",
      "sender_key",
      "session_id",
    ]);
    const { received } = await alice.sync();
    expect(bodies(received)).toEqual(["hello"]);
  });
});
