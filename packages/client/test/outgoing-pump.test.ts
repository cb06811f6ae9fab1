import { rateLimit } from "@holdfast/dev-homeserver/faults";
import { afterEach, beforeEach, expect, it } from "vitest";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

it("requests of the engine are tried again no sooner than the homeserver asks for", async () => {
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const { userId } = alice.credentials;
  const reader = await world.connected(alice);
  const room = await world.room([alice, bob]);
  const limit = world.homeserver.faults.always({ path: "/keys/query", userId }, rateLimit(120_000));
  const sender = await world.connected(bob);
  // The bot looks at who sends to it, and its message waits as well.
  await sender.say(room, "hello");
  const saying = reader.say(room, "hello").catch((error) => error.code);
  await limit.fired();
  const told = () => reader.log.filter((line) => /^warn Requests of the crypto engine were not sent/.test(line));
  await expect.poll(told).not.toEqual([]);
  expect(told()[0]).toMatch(/trying again in 120000 ms/);
  await reader.client.close();
  expect(await saying).toBe("CLOSED");
});
