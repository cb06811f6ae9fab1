import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { rateLimit } from "@holdfast/dev-homeserver/faults";
import { DeviceId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CrossSigning } from "../src/trust/cross-signing/cross-signing.ts";
import { Verifications } from "../src/trust/verification/verifications.ts";
import { Device, newUser } from "./trust/device.ts";
import { accepting, verifying } from "./trust/verifying.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

const SENDING = "/sendToDevice/{eventType}/{txnId}";

async function isVerified(by: Device, device: Device): Promise<boolean | undefined> {
  return by.encryption.run(async (machine) => {
    const found = await machine.getDevice(new UserId(device.user.userId), new DeviceId(device.deviceId));
    return found?.isVerified();
  });
}

describe("verifying another device of the account", () => {
  it("makes it a signed one, when both sides saw the same", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await new CrossSigning(first).bootstrap();
    const { onRequest, asked } = accepting();
    verifying(first, { onRequest });
    const mine = await verifying(second).request(user.userId, first.deviceId);
    const states: string[] = [];
    mine.onState((state) => void states.push(state));
    const theirs = await asked;
    expect([theirs.startedByUs, theirs.userId, theirs.deviceId]).toEqual([false, user.userId, second.deviceId]);
    const [here, there] = await Promise.all([mine.shortAuthString, theirs.shortAuthString]);
    expect(here).toEqual(there);
    expect(here.emoji).toHaveLength(7);
    expect(here.decimals).toHaveLength(3);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all([mine.done, theirs.done]);
    expect(states.at(-1)).toBe("done");
    expect(await isVerified(second, first)).toBe(true);
    expect(await new CrossSigning(first).status()).toMatchObject({ deviceSigned: true });
    expect((await new CrossSigning(second).status()).deviceSigned).toBe(true);
  });

  it("asks all of them where none is named", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await new CrossSigning(first).bootstrap();
    const { onRequest, asked } = accepting();
    verifying(first, { onRequest });
    const mine = await verifying(second).request(user.userId);
    const theirs = await asked;
    await Promise.all([mine.shortAuthString, theirs.shortAuthString]);
    expect(mine.deviceId).toBe(first.deviceId);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all([mine.done, theirs.done]);
    expect(await isVerified(second, first)).toBe(true);
  });
});

describe("verifying another user", () => {
  it("goes by messages in a room", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    await new CrossSigning(alice).bootstrap();
    await new CrossSigning(bob).bootstrap();
    const { onRequest, asked } = accepting();
    const room = await alice.api.request("POST", "/v3/createRoom", {
      body: { preset: "private_chat", invite: [bob.user.userId] },
    });
    const roomId = String(room.room_id);
    await bob.api.request("POST", `/v3/join/${encodeURIComponent(roomId)}`, { body: {} });
    verifying(bob, { onRequest });
    const mine = await verifying(alice).requestInRoom(roomId, bob.user.userId);
    const theirs = await asked;
    expect([mine.roomId, theirs.roomId, theirs.flowId]).toEqual([roomId, roomId, mine.flowId]);
    expect(await mine.shortAuthString).toEqual(await theirs.shortAuthString);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all([mine.done, theirs.done]);
    const verified = await alice.encryption.run(async (machine) =>
      (await machine.getIdentity(new UserId(bob.user.userId)))?.isVerified(),
    );
    expect(verified).toBe(true);
  });

  it("is asked of whom a message names, and costs nobody else a request", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    const requests: string[] = [];
    const end = homeserver.use((call, next) => {
      requests.push(call.route);
      return next();
    });
    const [roomId, eventId, sender] = ["!room:localhost", "$asks", "@mallory:localhost"];
    const verifications = new Verifications({ encryption: alice.encryption, sendToRoom: async () => "$sent" });
    const asking = (to: string) =>
      verifications.receiveRoomEvent({
        ...{ roomId, eventId, sender, type: "m.room.message", timestamp: Date.now() },
        content: { msgtype: "m.key.verification.request", to, from_device: "M", methods: ["m.sas.v1"] },
        raw: { type: "m.room.message", event_id: eventId, sender, content: {}, origin_server_ts: Date.now() },
      });
    await asking("@somebody:localhost");
    expect(requests).toEqual([]);
    await asking(alice.user.userId);
    expect(requests).toContain("/_matrix/client/v3/keys/query");
    end();
  });
});

describe("a listener to the state of a verification", () => {
  it("may fail, at once or later: the verification goes on, and the log says so", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    const { onRequest, asked } = accepting();
    verifying(first, { onRequest });
    const mine = await verifying(second).request(user.userId, first.deviceId);
    const states: string[] = [];
    mine.onState((state) => {
      states.push(state);
      throw new Error("a listener that throws");
    });
    mine.onState(() => Promise.reject(new Error("a listener that rejects")));
    const theirs = await asked;
    await Promise.all([mine.shortAuthString, theirs.shortAuthString]);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all([mine.done, theirs.done]);
    expect(states.at(-1)).toBe("done");
  });
});

/** Two devices that are about to compare. */
async function comparing() {
  const user = await newUser(homeserver, "alice");
  const first = await Device.of(user);
  const second = await Device.of(user);
  const { onRequest, asked } = accepting();
  verifying(first, { onRequest });
  const abort = new AbortController();
  const mine = await verifying(second).request(user.userId, first.deviceId, { signal: abort.signal });
  const theirs = await asked;
  await Promise.all([mine.shortAuthString, theirs.shortAuthString]);
  return { first, second, mine, theirs, abort };
}

describe("a verification whose homeserver limits requests", () => {
  it("waits, and goes on", async () => {
    const { first, second, mine, theirs } = await comparing();
    await using _ = first;
    await using __ = second;
    const refused = homeserver.faults.next({ path: SENDING, userId: second.user.userId }, rateLimit(50));
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all([mine.done, theirs.done]);
    expect(refused.count).toBe(1);
  });

  it("does not wait to be cancelled", async () => {
    const { first, second, mine } = await comparing();
    await using _ = first;
    await using __ = second;
    const refused = homeserver.faults.next({ path: SENDING, userId: second.user.userId }, rateLimit(100_000));
    const confirming = mine.confirm();
    await refused.fired();
    await Promise.all([mine.cancel(), confirming]);
    await expect(mine.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
  });
});

describe("a verification that fails", () => {
  it("because the strings differ verifies nobody, and says so on both sides", async () => {
    const { first, second, mine, theirs } = await comparing();
    await using _ = first;
    await using __ = second;
    await theirs.confirm();
    await mine.mismatch();
    await expect(mine.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    await expect(theirs.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    expect(mine.cancelled).toMatchObject({ code: "m.mismatched_sas", byUs: true });
    expect(theirs.cancelled).toMatchObject({ code: "m.mismatched_sas", byUs: false });
    expect(await isVerified(second, first)).toBe(false);
    await expect(mine.confirm()).rejects.toMatchObject({ code: "CONFIG" });
  });

  it("because its signal was aborted is cancelled for both", async () => {
    const { first, second, mine, theirs, abort } = await comparing();
    await using _ = first;
    await using __ = second;
    abort.abort();
    await expect(mine.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    await expect(theirs.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    expect(theirs.cancelled).toMatchObject({ code: "m.user", byUs: false });
    expect(theirs.state).toBe("cancelled");
    await theirs.cancel();
  });

  it("because nobody answers in time is cancelled", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    verifying(first, { onRequest: () => "ignore" });
    const mine = await verifying(second).request(user.userId, first.deviceId, { limitMs: 200 });
    await expect(mine.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    await expect(mine.shortAuthString).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    expect(mine.cancelled).toMatchObject({ code: "m.timeout", byUs: true });
  });

  it("because it was rejected says so to who asked", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    verifying(first, { onRequest: () => "reject" });
    const mine = await verifying(second).request(user.userId, first.deviceId);
    await expect(mine.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    expect(mine.cancelled).toMatchObject({ code: "m.user", byUs: false });
  });

  it("because there is nobody to verify does not begin", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    const verifications = verifying(alice);
    const { userId } = bob.user;
    await expect(verifications.request(userId)).rejects.toMatchObject({ code: "CONFIG" });
    await expect(verifications.request(userId, "NOBODY")).rejects.toMatchObject({ code: "NOT_SET_UP" });
    await expect(verifications.request(alice.user.userId)).rejects.toMatchObject({ code: "NOT_SET_UP" });
    await expect(verifications.requestInRoom("!room:localhost", userId)).rejects.toMatchObject({ code: "NOT_SET_UP" });
    expect(verifications.running).toEqual([]);
  });
});
