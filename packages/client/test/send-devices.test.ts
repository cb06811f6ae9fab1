import type { DevHomeserver, Middleware } from "@holdfast/dev-homeserver";
import { describe, expect, it } from "vitest";
import { anotherDevice, bodiesSeenBy, fault, MEGOLM, party, refuse, SEND } from "./support/dev-rooms.ts";
import { register, SendingClient } from "./support/sending-client.ts";
import { type Stage, sendText, useStage } from "./support/stage.ts";

let stage: Stage;
let homeserver: DevHomeserver;

useStage((made) => {
  stage = made;
  homeserver = stage.homeserver;
});

const QUERY = "/keys/query";

/** An answer that names one user neither among those whose devices it gives nor among those it could not reach. */
const leavingOut =
  (userId: string): Middleware =>
  async (_, next) => {
    const reply = await next();
    if (reply === "hang up") return reply;
    const { [userId]: __, ...rest } = reply.body.device_keys as Record<string, object>;
    return { ...reply, body: { ...reply.body, device_keys: rest, failures: { "remote.example": { status: 503 } } } };
  };

/** A bot, Alice and Bob in a room, and what counts the bot's queries for keys, whose answers leave Bob out. */
async function withoutBob() {
  const { sender, alice, room } = await stage.talk();
  const bob = await party(homeserver, "bob");
  const { count, end } = fault(homeserver, { route: QUERY, user: sender.login.userId }, 99, leavingOut(bob.userId));
  const withBob = await sender.createRoom({ encryption: MEGOLM, invite: [alice.userId, bob.userId] });
  for (const member of [alice, bob]) await member.join(withBob);
  return { sender, alice, bob, room, withBob, count, end };
}

describe("a member whose devices the homeserver does not tell", () => {
  it("is waited for a while, and asked for a few times; the others get the message", async () => {
    const { sender, alice, bob, withBob, count, end } = await withoutBob();
    await sendText(sender, withBob, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    expect(count()).toBe(6);
    await sendText(sender, withBob, "and on");
    expect(count()).toBe(8);
    expect(sender.log.filter((line) => /does not say who has which devices/.test(line))).toHaveLength(2);
    end();
    await sendText(sender, withBob, "all of you");
    expect(await bodiesSeenBy(alice)).toEqual(["and on", "all of you"]);
    expect(await bodiesSeenBy(bob)).toEqual(["undecryptable", "undecryptable", "all of you"]);
  });

  it("is nothing that a room without them waits for", async () => {
    const { sender, alice, room, withBob, count } = await withoutBob();
    await sendText(sender, withBob, "hello");
    const asked = count();
    await sendText(sender, room, "elsewhere");
    expect(count()).toBe(asked);
    expect((await bodiesSeenBy(alice)).toSorted()).toEqual(["elsewhere", "hello"]);
  });

  it("is asked for twice at most each time that requests are sent", async () => {
    const { sender, bob, withBob, count } = await withoutBob();
    await sendText(sender, withBob, "hello");
    const asked = count();
    const message = `the homeserver does not say which devices ${bob.userId} have`;
    await expect(sender.encryption?.flush()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE", message });
    expect(count()).toBe(asked + 2);
  });

  it("gets the message where the homeserver has only asked to wait, however often", async () => {
    const { sender, alice, room } = await stage.untold();
    const limited = refuse(429, "M_LIMIT_EXCEEDED", { retry_after_ms: 1 });
    const { count } = fault(homeserver, { route: QUERY, user: sender.login.userId }, 5, limited);
    await sendText(sender, room, "hello");
    expect(count()).toBe(6);
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
  });

  it("is not given up because several messages wait for one answer that does not come", async () => {
    const { sender, alice, room } = await stage.untold();
    const rooms = [room];
    for (let more = 0; more < 3; more += 1) {
      const another = await sender.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
      await alice.join(another);
      rooms.push(another);
    }
    const { count } = fault(homeserver, { route: QUERY, user: sender.login.userId }, 1, async () => "hang up");
    await Promise.all(rooms.map((roomId) => sendText(sender, roomId, "hello")));
    expect(count()).toBeGreaterThan(1);
    expect(await bodiesSeenBy(alice)).toEqual(["hello", "hello", "hello", "hello"]);
  });
});

describe("a homeserver that does not answer at all", () => {
  it("is waited for: a device that it could not tell of gets the message", async () => {
    const { sender, alice, room } = await stage.talk();
    await sendText(sender, room, "before");
    const phone = await anotherDevice(alice);
    const asked = Promise.withResolvers<void>();
    let queries = 0;
    const end = homeserver.use(async ({ device, route }, next) => {
      const isOurs = device?.userId === sender.login.userId || route.endsWith("/versions");
      if (!isOurs || route.endsWith("/sync")) return next();
      if (route.endsWith(QUERY)) queries += 1;
      if (queries === 6 || route.endsWith(SEND)) asked.resolve();
      return "hang up";
    });
    await expect(sender.sync()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    const sending = sendText(sender, room, "hello");
    await asked.promise;
    end();
    await sending;
    expect(await bodiesSeenBy(phone)).toContain("hello");
  });
});

describe("one-time keys that the homeserver takes and says it has none of", () => {
  it("are not made and uploaded without end", async () => {
    const { count } = fault(homeserver, { route: "/keys/upload" }, 99, async (_, next) => {
      const reply = await next();
      return reply === "hang up" ? reply : { ...reply, body: { one_time_key_counts: { signed_curve25519: 0 } } };
    });
    const client = stage.add(SendingClient.withoutStore(await register(homeserver.url, "bot")));
    await expect(client.comeBack()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    expect(count()).toBe(2);
  });
});

describe("a member on a server that cannot be reached", () => {
  it("holds no message up: the others get it", async () => {
    const { sender, alice, room } = await stage.talk();
    const far = "@far:remote.example";
    fault(homeserver, { route: "/members" }, 99, async (_, next) => {
      const reply = await next();
      if (reply === "hang up") return reply;
      const member = { type: "m.room.member", state_key: far, content: { membership: "join" } };
      return { ...reply, body: { chunk: [...(reply.body.chunk as object[]), member] } };
    });
    const { count } = fault(homeserver, { route: QUERY, user: sender.login.userId }, 99, leavingOut(far));
    await sendText(sender, room, "hello");
    expect(await bodiesSeenBy(alice)).toEqual(["hello"]);
    expect(count()).toBe(1);
  });
});
