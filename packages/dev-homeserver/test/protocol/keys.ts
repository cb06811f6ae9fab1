import { expect, test } from "vitest";
import { type Actor, path, type World } from "./actors.ts";

const signedKey = (actor: Actor, key: string, signature = "signature") => ({
  key,
  signatures: { [actor.userId]: { [`ed25519:${actor.deviceId}`]: signature } },
});

export const deviceKeys = (actor: Actor, curve25519: string) => ({
  user_id: actor.userId,
  device_id: actor.deviceId,
  algorithms: ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
  keys: { [`curve25519:${actor.deviceId}`]: curve25519, [`ed25519:${actor.deviceId}`]: `ed-${curve25519}` },
  signatures: { [actor.userId]: { [`ed25519:${actor.deviceId}`]: "signature" } },
});

export function keySuite(world: () => World): void {
  const upload = (actor: Actor, body: object) => actor.call("POST", "/keys/upload", body);
  const oneTime = (actor: Actor, ...names: string[]) => ({
    one_time_keys: Object.fromEntries(names.map((name) => [`signed_curve25519:${name}`, signedKey(actor, name)])),
  });
  const claim = async (claimer: Actor, owner: Actor): Promise<unknown> => {
    const body = { one_time_keys: { [owner.userId]: { [owner.deviceId]: "signed_curve25519" } } };
    const reply = await claimer.call("POST", "/keys/claim", body);
    return (reply.one_time_keys as Record<string, Record<string, object>>)[owner.userId]?.[owner.deviceId];
  };
  const query = async (asker: Actor, of: Actor): Promise<Record<string, Record<string, unknown>> | undefined> => {
    const reply = await asker.call("POST", "/keys/query", { device_keys: { [of.userId]: [] } });
    return (reply.device_keys as Record<string, Record<string, Record<string, unknown>>>)[of.userId];
  };

  test("are there for who asks, and replaced by others whatever they were", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    await upload(alice, { device_keys: deviceKeys(alice, "first") });
    expect((await query(bob, alice))?.DEVICE).toMatchObject(deviceKeys(alice, "first"));
    await upload(alice, { device_keys: deviceKeys(alice, "second") });
    expect((await query(bob, alice))?.DEVICE).toMatchObject(deviceKeys(alice, "second"));
    await world().login(alice.userId, "KEYLESS");
    expect(Object.keys((await query(bob, alice)) ?? {})).toEqual(["DEVICE"]);
  });

  test("of one device are shown alone where it is asked for alone", async () => {
    const alice = await world().actor();
    const other = await world().login(alice.userId, "OTHER");
    await upload(alice, { device_keys: deviceKeys(alice, "a") });
    await upload(other, { device_keys: deviceKeys(other, "b") });
    const body = { device_keys: { [alice.userId]: ["OTHER"] } };
    const reply = await alice.call("POST", "/keys/query", body);
    expect(Object.keys((reply.device_keys as Record<string, object>)[alice.userId] ?? {})).toEqual(["OTHER"]);
  });

  test("of another device are refused", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const stolen = upload(bob, { device_keys: deviceKeys(alice, "stolen") });
    await expect(stolen).rejects.toMatchObject({ status: 400, errcode: "M_BAD_JSON" });
    expect(await query(alice, alice)).toEqual({});
  });

  test("go with their device when it logs out", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    await upload(alice, { device_keys: deviceKeys(alice, "key") });
    await alice.call("POST", "/logout", {});
    expect(await query(bob, alice)).toEqual({});
  });

  test("for one time are handed out once each, and then the fallback key again and again", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const fallback = { ...signedKey(alice, "F"), fallback: true };
    const counts = await upload(alice, {
      ...oneTime(alice, "A", "B"),
      fallback_keys: { "signed_curve25519:F": fallback },
    });
    expect(counts).toEqual({ one_time_key_counts: { signed_curve25519: 2 } });
    const first = await claim(bob, alice);
    const second = await claim(bob, alice);
    expect([first, second].map((keys) => Object.keys(keys as object)[0]).sort()).toEqual([
      "signed_curve25519:A",
      "signed_curve25519:B",
    ]);
    expect(await claim(bob, alice)).toEqual({ "signed_curve25519:F": fallback });
    expect(await claim(bob, alice)).toEqual({ "signed_curve25519:F": fallback });
  });

  test("for one time run out where there is no fallback key", async () => {
    const alice = await world().actor();
    await upload(alice, oneTime(alice, "A"));
    expect(await claim(alice, alice)).toEqual({ "signed_curve25519:A": signedKey(alice, "A") });
    expect(await claim(alice, alice)).toBeUndefined();
  });

  test("for one time are counted in the upload's answer and in each sync", async () => {
    const alice = await world().actor();
    expect((await alice.sync()).device_one_time_keys_count).toEqual({ signed_curve25519: 0 });
    await upload(alice, oneTime(alice, "A", "B"));
    expect(await upload(alice, {})).toEqual({ one_time_key_counts: { signed_curve25519: 2 } });
    await claim(alice, alice);
    expect((await alice.sync()).device_one_time_keys_count).toEqual({ signed_curve25519: 1 });
  });

  test("for one time are accepted again where they are identical but for their signatures", async () => {
    const alice = await world().actor();
    for (const signature of ["first", "first", "second"]) {
      const body = { one_time_keys: { "signed_curve25519:A": signedKey(alice, "A", signature) } };
      expect(await upload(alice, body)).toEqual({ one_time_key_counts: { signed_curve25519: 1 } });
    }
  });

  test("for one time are handed out a second time when their owner publishes them again after a claim", async () => {
    const alice = await world().actor();
    await upload(alice, oneTime(alice, "A"));
    expect(await claim(alice, alice)).toEqual({ "signed_curve25519:A": signedKey(alice, "A") });
    await upload(alice, oneTime(alice, "A"));
    expect(await claim(alice, alice)).toEqual({ "signed_curve25519:A": signedKey(alice, "A") });
  });

  test("for one time are refused where another key has the id, which nothing of the upload survives", async () => {
    const alice = await world().actor();
    await upload(alice, oneTime(alice, "A"));
    const another = { "signed_curve25519:A": signedKey(alice, "another") };
    const refused = upload(alice, { one_time_keys: { ...oneTime(alice, "B").one_time_keys, ...another } });
    await expect(refused).rejects.toMatchObject({
      status: 400,
      errcode: "M_UNKNOWN",
      message: expect.stringContaining("already exists"),
    });
    expect(await upload(alice, {})).toEqual({ one_time_key_counts: { signed_curve25519: 1 } });
  });

  test("to fall back on are unused until somebody claims one, and again when another takes its place", async () => {
    const alice = await world().actor();
    const unused = async () => (await alice.sync()).device_unused_fallback_key_types;
    const fallback = (name: string) => ({
      fallback_keys: { [`signed_curve25519:${name}`]: { ...signedKey(alice, name), fallback: true } },
    });
    expect(await unused()).toEqual([]);
    await upload(alice, fallback("F"));
    expect(await unused()).toEqual(["signed_curve25519"]);
    await claim(alice, alice);
    expect(await unused()).toEqual([]);
    await upload(alice, fallback("G"));
    expect(await unused()).toEqual(["signed_curve25519"]);
  });

  test("that change are told to who shares a room, once, and to the owner's own devices", async () => {
    const [alice, bob, stranger] = [await world().actor(), await world().actor(), await world().actor()];
    await alice.newRoom({}, bob);
    const start = (await bob.sync()).next_batch;
    const own = (await alice.sync()).next_batch;
    await upload(alice, { device_keys: deviceKeys(alice, "one") });
    await upload(stranger, { device_keys: deviceKeys(stranger, "one") });
    const told = await bob.sync(start);
    expect(told.device_lists?.changed).toEqual([alice.userId]);
    expect((await alice.sync(own)).device_lists?.changed).toEqual([alice.userId]);
    await upload(alice, { device_keys: deviceKeys(alice, "one") });
    expect((await bob.sync(told.next_batch)).device_lists?.changed ?? []).toEqual([]);
    const changes = await bob.call("GET", `/keys/changes?from=${start}&to=${told.next_batch}`);
    expect(changes.changed).toEqual([alice.userId]);
  });

  test("of who has come to share a room are told as changed, and of who shares none any more as left", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    for (const actor of [alice, bob]) await upload(actor, { device_keys: deviceKeys(actor, "key") });
    const start = (await bob.sync()).next_batch;
    const [first, second] = [await alice.newRoom({}, bob), await alice.newRoom({}, bob)];
    const together = await bob.sync(start);
    expect(together.device_lists?.changed).toContain(alice.userId);
    await alice.act(first, "leave");
    const still = await bob.sync(together.next_batch);
    expect(still.device_lists?.left ?? []).toEqual([]);
    await bob.act(second, "leave");
    expect((await bob.sync(still.next_batch)).device_lists?.left).toEqual([alice.userId]);
  });

  test("carry the name of their device, a change of which is told like one of the keys", async () => {
    const alice = await world().actor();
    await upload(alice, { device_keys: deviceKeys(alice, "key") });
    const { next_batch: since } = await alice.sync();
    await alice.call("PUT", path("devices", "DEVICE"), { display_name: "a name" });
    expect((await alice.sync(since)).device_lists?.changed).toEqual([alice.userId]);
    expect((await query(alice, alice))?.DEVICE).toEqual({
      ...deviceKeys(alice, "key"),
      unsigned: { device_display_name: "a name" },
    });
  });
}
