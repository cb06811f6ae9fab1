import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { expect, test } from "vitest";
import type { Actor, World } from "./actors.ts";
import { deviceKeys } from "./keys.ts";

/** A key pair of which the public half is known by its unpadded base64. */
function keyPair(): { readonly publicKey: string; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  // The last 32 bytes of this form are the key.
  return { publicKey: base64(publicKey.export({ type: "spki", format: "der" }).subarray(-32)), privateKey };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64").replace(/=+$/, "");

/** JSON as Matrix signs it: no white space, fields in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join()}}`;
}

type Signable = Record<string, unknown> & { readonly signatures?: Record<string, Record<string, string>> };

/** An object with one more signature, made over what it is without any. */
function signed<T extends Signable>(object: T, userId: string, keyId: string, privateKey: KeyObject) {
  const { signatures, unsigned: _, ...content } = object;
  const signature = base64(sign(null, Buffer.from(canonical(content)), privateKey));
  return { ...object, signatures: { ...signatures, [userId]: { ...signatures?.[userId], [keyId]: signature } } };
}

/** A new cross-signing identity of a user. */
function identity({ userId }: Actor) {
  const [master, self, user] = [keyPair(), keyPair(), keyPair()];
  const key = (usage: string, publicKey: string) => ({
    user_id: userId,
    usage: [usage],
    keys: { [`ed25519:${publicKey}`]: publicKey },
  });
  const byMaster = (object: Signable) => signed(object, userId, `ed25519:${master.publicKey}`, master.privateKey);
  return {
    master,
    self,
    user,
    /** As they are uploaded. */
    keys: {
      master_key: key("master", master.publicKey),
      self_signing_key: byMaster(key("self_signing", self.publicKey)),
      user_signing_key: byMaster(key("user_signing", user.publicKey)),
    },
  };
}

export function crossSigningSuite(world: () => World): void {
  const upload = (actor: Actor, body: object) => actor.call("POST", "/keys/device_signing/upload", body);
  const query = (asker: Actor, of: Actor) =>
    asker.call("POST", "/keys/query", { device_keys: { [of.userId]: [] } }) as Promise<
      Record<string, Record<string, Record<string, unknown>>>
    >;

  test("are taken the first time, identical ones again, and others with the password only", async () => {
    const alice = await world().actor();
    const [first, second] = [identity(alice).keys, identity(alice).keys];
    expect(await upload(alice, first)).toEqual({});
    expect(await upload(alice, first)).toEqual({});
    const asked = await upload(alice, second).catch(
      (error: { status: number; body: Record<string, unknown> }) => error,
    );
    expect(asked).toMatchObject({
      status: 401,
      body: { session: expect.any(String), flows: [{ stages: ["m.login.password"] }] },
    });
    const auth = {
      type: "m.login.password",
      identifier: { type: "m.id.user", user: alice.userId },
      password: "secret",
      session: (asked as { body: { session: string } }).body.session,
    };
    expect(await upload(alice, { ...second, auth })).toEqual({});
    expect((await query(alice, alice)).master_keys?.[alice.userId]).toMatchObject(second.master_key);
  });

  test("show user-signing keys to their own user only", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const keys = identity(alice).keys;
    await upload(alice, keys);
    const [seenByAlice, seenByBob] = [await query(alice, alice), await query(bob, alice)];
    expect(seenByAlice.user_signing_keys?.[alice.userId]).toMatchObject(keys.user_signing_key);
    expect(seenByBob.user_signing_keys).toEqual({});
    expect(seenByBob.self_signing_keys?.[alice.userId]).toMatchObject(keys.self_signing_key);
    expect(seenByBob.master_keys?.[alice.userId]).toMatchObject(keys.master_key);
  });

  test("are told to who shares a room as a change of devices", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    await alice.newRoom({}, bob);
    const { next_batch: since } = await bob.sync();
    await upload(alice, identity(alice).keys);
    expect((await bob.sync(since)).device_lists?.changed).toEqual([alice.userId]);
  });

  test("sign their owner's devices and others' master keys, the latter for the signer's eyes only", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const [own, others] = [identity(alice), identity(bob)];
    const device = keyPair();
    const bare = { ...deviceKeys(alice, "key"), keys: { [`ed25519:${alice.deviceId}`]: device.publicKey } };
    const keys = signed({ ...bare, signatures: {} }, alice.userId, `ed25519:${alice.deviceId}`, device.privateKey);
    await alice.call("POST", "/keys/upload", { device_keys: keys });
    await upload(alice, own.keys);
    await upload(bob, others.keys);
    const bySelf = signed(keys, alice.userId, `ed25519:${own.self.publicKey}`, own.self.privateKey);
    const opinion = signed(others.keys.master_key, alice.userId, `ed25519:${own.user.publicKey}`, own.user.privateKey);
    const reply = await alice.call("POST", "/keys/signatures/upload", {
      [alice.userId]: { [alice.deviceId]: bySelf },
      [bob.userId]: { [others.master.publicKey]: opinion },
    });
    expect(reply.failures).toEqual({});
    expect((await query(bob, alice)).device_keys?.[alice.userId]?.[alice.deviceId]).toMatchObject(bySelf);
    expect((await query(alice, bob)).master_keys?.[bob.userId]).toMatchObject(opinion);
    expect((await query(bob, bob)).master_keys?.[bob.userId]).toEqual(others.keys.master_key);
  });

  test("report signatures on keys that are not there as failures", async () => {
    const alice = await world().actor();
    await alice.call("POST", "/keys/upload", { device_keys: deviceKeys(alice, "key") });
    await upload(alice, identity(alice).keys);
    const signed = { ...deviceKeys(alice, "key"), device_id: "NOWHERE" };
    const reply = await alice.call("POST", "/keys/signatures/upload", { [alice.userId]: { NOWHERE: signed } });
    expect(Object.keys((reply.failures as Record<string, object>)[alice.userId] ?? {})).toEqual(["NOWHERE"]);
  });
}
