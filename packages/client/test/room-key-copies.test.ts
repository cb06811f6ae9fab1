import { expect, it } from "vitest";
import { World } from "./support/world.ts";

it("a room key that comes twice in one sync, the second time for later messages only, reads the earlier ones too", async () => {
  await using world = await World.start();
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const roomId = await world.room([alice, bob]);
  const from = await world.connected(alice);
  const to = await world.connected(bob);
  const release = await world.holdSyncs(bob);

  await from.say(roomId, "first");
  // Bob knows nothing of the Olm session that has brought the key, and makes one of his own: to Alice it looks as if hers were broken.
  await to.say(roomId, "from Bob");
  await from.until(() => from.messages.length === 1);
  await from.say(roomId, "second");
  const keys = world.homeserver.journal.toDevice().filter(({ recipient }) => recipient === bob.credentials.userId);
  expect(keys.length).toBe(2);

  release();
  await to.until(() => to.messages.length + to.undecryptable.length === 2);
  expect(to.bodies).toEqual(["first", "second"]);
  expect(to.undecryptable).toEqual([]);
});
