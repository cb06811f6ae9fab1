import type { TestHomeserver } from "@holdfast/dev-homeserver";
import { HomeserverClient, inMemoryEngine, Party, type Received } from "@holdfast/dev-homeserver/party";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startSynapse } from "../src/index.ts";

let server: TestHomeserver;
beforeAll(async () => {
  server = await startSynapse();
});
afterAll(() => server.stop());

async function party(name: string): Promise<Party> {
  const { userId } = await server.registerUser(`${name}.${Date.now().toString(36)}`, "secret");
  const client = await HomeserverClient.login(server.baseUrl, userId, "secret", "DEVICE");
  const joined = new Party({ client, engine: await inMemoryEngine(userId, "DEVICE") });
  await joined.flush();
  return joined;
}

const told = (received: readonly Received[]) =>
  received.map((event) => (event.kind === "undecryptable" ? event.code : event.content.body));

it("two engines read each other through Synapse, over several room keys", async () => {
  const [alice, bob] = [await party("alice"), await party("bob")];
  const room = await alice.createEncryptedRoom([bob.userId], { rotation_period_msgs: 2 });
  await bob.join(room);
  await bob.sync();
  const bodies = ["one", "two", "three", "four", "five"];
  for (const body of bodies) await alice.sendText(room, body);
  expect(told((await bob.sync()).received)).toEqual(bodies);
  await bob.sendText(room, "answer");
  expect(told((await alice.sync()).received).at(-1)).toBe("answer");
  expect(await alice.publishedIdentity()).toEqual(await alice.identity());
});
