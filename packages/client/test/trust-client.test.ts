import { error, holdRequest } from "@holdfast/dev-homeserver/faults";
import { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { BackupState } from "../src/trust/backup/key-backup.ts";
import { newRecoveryKey } from "../src/trust/secrets/secret-storage.ts";
import { type Watched, World } from "./support/world.ts";
import { accepting } from "./trust/verifying.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

describe("the trust of a client", () => {
  it("is not there before it is connected", async () => {
    const { client } = world.client(await world.user("alice"));
    expect(() => client.trust).toThrow(expect.objectContaining({ code: "CLOSED" }));
  });

  it("grows by a verification in an encrypted room, of which the homeserver sees nothing", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const { onRequest, asked } = accepting();
    const asking = await world.connected(alice);
    const answering = await world.connected(bob, { onVerificationRequest: onRequest });
    const roomId = await world.room([alice, bob]);
    await asking.client.trust.crossSigning.bootstrap();
    await answering.client.trust.crossSigning.bootstrap();

    const mine = await asking.client.trust.verifications.requestInRoom(roomId, bob.credentials.userId);
    const theirs = await asked;
    expect(await mine.shortAuthString).toEqual(await theirs.shortAuthString);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all([mine.done, theirs.done]);

    const history = await alice.call("GET", `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=100`);
    const events = history.chunk as { readonly type: string; readonly state_key?: string }[];
    const types = events.filter((event) => event.state_key === undefined).map(({ type }) => type);
    expect(types.length).toBeGreaterThanOrEqual(7);
    expect(new Set(types)).toEqual(new Set(["m.room.encrypted"]));
  });

  it("is set up whenever the client connects, where it is told to", async () => {
    const alice = await world.user("alice");
    const recoveryKeys: string[] = [];
    const setUpTrust = { onRecoveryKey: (made: string) => void recoveryKeys.push(made) };
    const first = await world.connected(alice, { setUpTrust });
    const done = { published: true, privateKeys: true, deviceSigned: true };
    await expect.poll(() => first.client.trust.crossSigning.status()).toEqual(done);
    await expect.poll(() => first.client.trust.backup.hasKey()).toBe(true);
    await first.client.close();
    const again = await world.connected(alice, { setUpTrust });
    await expect.poll(() => again.client.trust.backup.hasKey()).toBe(true);
    expect(await again.client.trust.crossSigning.status()).toEqual(done);
    expect(recoveryKeys).toHaveLength(1);
    expect([...first.errors, ...again.errors]).toEqual([]);
  });

  it("tells the other side of a verification when the client closes", async () => {
    const { mine, theirs, asking } = await comparing();
    await asking.client.close();
    await expect(theirs.done).rejects.toMatchObject({ code: "VERIFICATION_CANCELLED" });
    expect(theirs.cancelled).toMatchObject({ code: "m.user", byUs: false });
    expect(mine.state).toBe("cancelled");
  });

  it("is not waited for when the client closes and the homeserver does not answer", async () => {
    const { asking } = await comparing();
    const held = world.homeserver.faults.always({ path: "/sendToDevice/{eventType}/{txnId}" }, holdRequest());
    onTestFinished(() => held.release());
    await asking.client.close();
    expect(held.count).toBe(1);
  });

  it("sends a confirmation that failed again when it is said once more", async () => {
    const { mine, theirs, alice } = await comparing();
    world.homeserver.faults.next(sendingOf(alice), error(400, "M_UNKNOWN"));
    await expect(mine.confirm()).rejects.toMatchObject({ errcode: "M_UNKNOWN" });
    await mine.confirm();
    await theirs.confirm();
    await Promise.all([mine.done, theirs.done]);
    expect([mine.state, theirs.state]).toEqual(["done", "done"]);
  });

  it("sends a confirmation that failed again when the other side goes on", async () => {
    const { mine, theirs, alice } = await comparing();
    world.homeserver.faults.next(sendingOf(alice), error(400, "M_UNKNOWN"));
    await expect(mine.confirm()).rejects.toMatchObject({ errcode: "M_UNKNOWN" });
    await theirs.confirm();
    await Promise.all([mine.done, theirs.done]);
  });

  it("says once that another device has replaced the identity that signed this one", async () => {
    const alice = await world.user("alice");
    const first = await world.connected(alice);
    const recoveryKey = newRecoveryKey();
    await first.client.trust.setUp({ recoveryKey });
    const second = await world.connected(await loggedIn(alice, "alice"));
    await resetBy(second, recoveryKey);
    await first.until(() => first.errors.length > 0);
    expect(second.errors).toEqual([]);
    expect(first.errors).toMatchObject([
      { error: { code: "NOT_SET_UP" }, doing: "noticing a new cross-signing identity" },
    ]);
    expect(first.log.filter((line) => line.startsWith("warn Cross-signing:"))).toHaveLength(1);
    expect(await first.client.trust.setUp({ recoveryKey })).toMatchObject({ crossSigning: "imported" });
    expect(await first.client.trust.crossSigning.status()).toMatchObject({ deviceSigned: true });
    expect(first.errors).toHaveLength(1);
  });

  it("is set up again where another device has replaced the identity, and its keys can be opened", async () => {
    const alice = await world.user("alice");
    const setUpTrust = { recoveryKey: newRecoveryKey() };
    const first = await world.connected(alice, { setUpTrust });
    const done = { published: true, privateKeys: true, deviceSigned: true };
    await expect.poll(() => first.client.trust.crossSigning.status()).toEqual(done);
    await resetBy(await world.connected(await loggedIn(alice, "alice")), setUpTrust.recoveryKey);
    const warned = () => first.log.filter((line) => line.startsWith("warn Cross-signing:"));
    await expect.poll(warned).toHaveLength(1);
    await expect.poll(() => first.client.trust.crossSigning.status()).toEqual(done);
    expect(first.errors).toEqual([]);
  });

  it("takes room keys to the backup that another device has put in place of the one before, and opens it", async () => {
    const alice = await world.user("alice");
    const setUpTrust = { recoveryKey: newRecoveryKey() };
    const first = world.client(alice, { setUpTrust });
    const states: BackupState[] = [];
    first.client.on("backup", (state) => void states.push(state));
    await first.client.connect();
    await expect.poll(() => first.client.trust.backup.hasKey()).toBe(true);
    const second = await world.connected(await loggedIn(alice, "alice"));
    await second.client.trust.setUp(setUpTrust);
    const storage = await second.client.trust.secretStorage.open(setUpTrust);
    await second.client.trust.backup.create({ replace: true, storage });
    await first.say(await world.room([alice]), "kept in the new one");
    await expect.poll(() => first.client.trust.backup.hasCurrentKey()).toBe(true);
    await expect.poll(async () => (await alice.call("GET", "/room_keys/version")).count).toBeGreaterThanOrEqual(1);
    expect(states).toEqual([
      { state: "off", reason: "none" },
      { state: "on", version: "1" },
      { state: "off", reason: "superseded" },
      { state: "on", version: "2" },
    ]);
    expect(first.errors).toEqual([]);
  });

  it("brings room keys out of the backup, for events that another device read", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const writer = await world.connected(alice);
    const first = await world.connected(bob);
    const roomId = await world.room([alice, bob]);
    await writer.say(roomId, "kept");
    await first.until(() => first.messages.length === 1);
    const recoveryKeys: string[] = [];
    await first.client.trust.setUp({ onRecoveryKey: (made) => void recoveryKeys.push(made) });
    await first.client.trust.backup.upload();

    const second = await world.connected(await loggedIn(bob, "bob"), { deliverHistory: true });
    await second.until(() => second.undecryptable.length === 1);
    const [recoveryKey] = recoveryKeys;
    expect(await second.client.trust.setUp({ recoveryKey })).toEqual({
      crossSigning: "imported",
      backup: { state: "on", version: "1" },
      secretStorage: true,
    });
    await second.until(() => second.messages.length === 1);
    expect(second.messages.map(({ content, late }) => [content.body, late])).toEqual([["kept", true]]);
  });
});

/** Two clients whose users are about to compare. */
async function comparing() {
  const [alice, bob] = [await world.user("alice"), await world.user("bob")];
  const { onRequest, asked } = accepting();
  const asking = await world.connected(alice);
  const answering = await world.connected(bob, { onVerificationRequest: onRequest });
  const { userId, deviceId } = bob.credentials;
  const mine = await asking.client.trust.verifications.request(userId, deviceId);
  const theirs = await asked;
  await Promise.all([mine.shortAuthString, theirs.shortAuthString]);
  return { alice, asking, answering, mine, theirs };
}

/** Makes a new cross-signing identity of a client's account. */
async function resetBy({ client }: Watched, recoveryKey: string): Promise<void> {
  const storage = await client.trust.secretStorage.open({ recoveryKey });
  await client.trust.crossSigning.bootstrap({ password: "password of alice", reset: true, storage });
}

/** The messages to devices that a user sends. */
function sendingOf({ credentials }: HomeserverClient) {
  return { path: "/sendToDevice/{eventType}/{txnId}", userId: credentials.userId };
}

/** Another device of a user who was registered by this name. */
async function loggedIn(user: HomeserverClient, name: string): Promise<HomeserverClient> {
  const { homeserver } = user.credentials;
  const reply = await user.call("POST", "/login", {
    type: "m.login.password",
    identifier: { type: "m.id.user", user: name },
    password: `password of ${name}`,
  });
  return new HomeserverClient({
    homeserver,
    userId: String(reply.user_id),
    deviceId: String(reply.device_id),
    accessToken: String(reply.access_token),
  });
}
