import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { IncomingEvent } from "../src/events.ts";
import { MatrixClient } from "../src/matrix-client.ts";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

/** Sends messages in clear to a room, in order. */
async function send(user: HomeserverClient, roomId: string, bodies: readonly string[]): Promise<void> {
  for (const body of bodies) {
    await user.call("PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${body}`, {
      msgtype: "m.text",
      body,
    });
  }
}

/** Resolves when so much is in the inbox. */
function inInbox(client: MatrixClient, count: number): Promise<void> {
  return expect.poll(async () => (await client.stats()).waiting?.inbox).toBe(count);
}

async function take(events: AsyncIterable<IncomingEvent>, count: number): Promise<string[]> {
  const bodies: string[] = [];
  for await (const { content } of events) {
    bodies.push(String(content.body));
    if (bodies.length === count) break;
  }
  return bodies;
}

describe("a loop over incoming()", () => {
  it("leaves what it has not come to where it is when the client closes", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const rooms = [await world.room([alice, bob], false), await world.room([alice, bob], false)];
    await using client = new MatrixClient(world.options(bob));
    const events = client.incoming();
    await client.connect();
    const first = events.next();
    const bodies = rooms.map((_, n) => [`${n}.0`, `${n}.1`, `${n}.2`, `${n}.3`]);
    for (const [n, roomId] of rooms.entries()) await send(alice, roomId, bodies[n] ?? []);
    expect((await first).value?.content.body).toBe("0.0");
    await inInbox(client, 8);
    await client.close();
    expect(await events.next()).toEqual({ done: true, value: undefined });

    const again = await world.connected(bob);
    await again.until(() => again.messages.length === 8);
    expect(again.bodies.toSorted()).toEqual(bodies.flat());
  });

  it("that is left hands what is not done to the next loop, in order", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    await using client = new MatrixClient(world.options(bob));
    const events = client.incoming();
    await client.connect();
    await send(alice, roomId, ["one", "two", "three"]);
    await inInbox(client, 3);
    await expect(
      (async () => {
        for await (const { content } of events) throw new Error(`cannot take ${content.body}`);
      })(),
    ).rejects.toThrow("cannot take one");
    await send(alice, roomId, ["four"]);
    await inInbox(client, 4);
    expect(await take(client.incoming(), 3)).toEqual(["one", "two", "three"]);
    await inInbox(client, 2);
    expect(await take(client.incoming(), 2)).toEqual(["three", "four"]);
    await client.close();

    const again = await world.connected(bob);
    await again.until(() => again.messages.length === 1);
    expect(again.bodies).toEqual(["four"]);
  });

  it("that is left does not hold up the handlers of what comes later", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const reader = await world.connected(bob);
    const loop = take(reader.client.incoming(), 1);
    await send(alice, roomId, ["one"]);
    expect(await loop).toEqual(["one"]);
    await send(alice, roomId, ["two"]);
    await reader.until(() => reader.messages.length === 2);
    expect(reader.bodies).toEqual(["one", "two"]);
    // Only the one that the loop was left at waits for another loop.
    await inInbox(reader.client, 1);
  });

  it("ends at once where the client was closed or the signal has aborted", async () => {
    const bob = await world.user("bob");
    const client = new MatrixClient(world.options(bob));
    const ended = { done: true, value: undefined };
    expect(await client.incoming({ signal: AbortSignal.abort() }).next()).toEqual(ended);
    await client.close();
    expect(await client.incoming().next()).toEqual(ended);
  });
});

describe("a delivery that is tried again", () => {
  it("goes to the handlers that have failed, and not to those that are done with it", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const reader = world.client(bob);
    const done = Promise.withResolvers<void>();
    let calls = 0;
    reader.client.on("message", () => {
      calls += 1;
      if (calls === 1) throw new Error("not yet");
      done.resolve();
    });
    await reader.client.connect();
    await send(alice, roomId, ["once"]);
    await done.promise;
    await inInbox(reader.client, 0);
    expect(calls).toBe(2);
    expect(reader.bodies).toEqual(["once"]);
  });
});

describe("what was set aside", () => {
  it("is all there where less is kept now, and comes back in several tries", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const roomId = await world.room([alice, bob], false);
    const failing = world.client(bob, { handlerAttempts: 1 });
    failing.client.on("message", () => {
      throw new Error("cannot");
    });
    await failing.client.connect();
    await send(alice, roomId, ["one", "two", "three"]);
    await failing.until(() => failing.errors.length === 3);
    await inInbox(failing.client, 0);
    await failing.client.close();

    const again = await world.connected(bob, { maxSetAside: 2 });
    expect(await again.client.retrySetAside()).toBe(2);
    expect(await again.client.retrySetAside()).toBe(1);
    expect(await again.client.retrySetAside()).toBe(0);
    await again.until(() => again.messages.length === 3);
    expect(again.bodies).toEqual(["one", "two", "three"]);
  });
});
