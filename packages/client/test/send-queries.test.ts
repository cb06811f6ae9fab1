import { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { expect, it } from "vitest";
import { World } from "./support/world.ts";

it("a new device is asked for once, and has the next message, though messages go to other rooms meanwhile", async () => {
  await using world = await World.start();
  const [alice, bob, carol] = [await world.user("alice"), await world.user("bob"), await world.user("carol")];
  const [elsewhere, roomId] = [await world.room([alice, bob]), await world.room([alice, carol])];
  const sender = await world.connected(alice);
  await world.connected(bob);
  const first = await world.connected(carol);
  await sender.say(elsewhere, "hello");
  await sender.say(roomId, "hello");
  await first.until(() => first.messages.length === 1);

  let queries = 0;
  world.use(async ({ device, route, body }, next) => {
    const reply = await next();
    const isQuery = device?.userId === alice.credentials.userId && route.endsWith("/keys/query");
    if (!isQuery || !(carol.credentials.userId in (body.device_keys as object))) return reply;
    queries += 1;
    await sender.say(elsewhere, "while it is asked for");
    return reply;
  });
  const { homeserver } = world;
  const reader = await world.connected(await HomeserverClient.login(homeserver.baseUrl, "carol", "password of carol"));
  await expect.poll(() => queries).toBe(1);
  await sender.say(roomId, "to both");
  await reader.until(() => reader.messages.length + reader.undecryptable.length === 1);
  expect(reader.bodies).toEqual(["to both"]);
  expect(queries).toBe(1);
  expect(sender.log.filter((line) => line.startsWith("warn"))).toEqual([]);
});
