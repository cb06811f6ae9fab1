import { expect, test } from "vitest";
import { type Actor, NOT_FOUND, path, type World } from "./actors.ts";

export function backupSuite(world: () => World): void {
  const ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2";
  const newVersion = async (actor: Actor, name = "key") => {
    const body = { algorithm: ALGORITHM, auth_data: { public_key: name } };
    return String((await actor.call("POST", "/room_keys/version", body)).version);
  };
  const session = (data: string, more: object = {}) => ({
    first_message_index: 5,
    forwarded_count: 5,
    is_verified: false,
    session_data: { data },
    ...more,
  });
  const keys = (version: string, ...scope: string[]) => `${path("room_keys", "keys", ...scope)}?version=${version}`;

  test("are there in versions, of which the newest is current", async () => {
    const alice = await world().actor();
    await expect(alice.call("GET", "/room_keys/version")).rejects.toMatchObject(NOT_FOUND);
    const first = await newVersion(alice, "first");
    const described = {
      algorithm: ALGORITHM,
      auth_data: { public_key: "first" },
      version: first,
      count: 0,
      etag: expect.any(String),
    };
    expect(await alice.call("GET", "/room_keys/version")).toEqual(described);
    const second = await newVersion(alice, "second");
    expect(second).not.toBe(first);
    expect(await alice.call("GET", path("room_keys", "version", first))).toEqual(described);
    expect(await alice.call("GET", "/room_keys/version")).toMatchObject({ version: second });
    expect(await alice.call("DELETE", path("room_keys", "version", second))).toEqual({});
    expect(await alice.call("GET", "/room_keys/version")).toMatchObject({ version: first });
    await expect(alice.call("GET", path("room_keys", "version", second))).rejects.toMatchObject(NOT_FOUND);
    await expect(alice.call("DELETE", path("room_keys", "version", "99"))).rejects.toMatchObject(NOT_FOUND);
  });

  test("take other auth_data, and no other algorithm", async () => {
    const alice = await world().actor();
    const version = await newVersion(alice);
    const update = (body: object) => alice.call("PUT", path("room_keys", "version", version), body);
    expect(await update({ algorithm: ALGORITHM, auth_data: { public_key: "key", signed: true }, version })).toEqual({});
    expect(await alice.call("GET", "/room_keys/version")).toMatchObject({ auth_data: { signed: true } });
    await expect(update({ algorithm: "another", auth_data: {} })).rejects.toMatchObject({
      status: 400,
      errcode: "M_INVALID_PARAM",
    });
    await expect(update({ algorithm: ALGORITHM, auth_data: {}, version: "99" })).rejects.toMatchObject({
      status: 400,
      errcode: "M_INVALID_PARAM",
    });
  });

  test("hold sessions by room and id, at three levels", async () => {
    const alice = await world().actor();
    const version = await newVersion(alice);
    const [a, b, c] = [session("a"), session("b"), session("c")];
    expect(await alice.call("PUT", keys(version), { rooms: { "!one:x": { sessions: { a } } } })).toEqual({
      etag: expect.any(String),
      count: 1,
    });
    expect(await alice.call("PUT", keys(version, "!one:x"), { sessions: { b } })).toMatchObject({ count: 2 });
    expect(await alice.call("PUT", keys(version, "!two:x", "c"), c)).toMatchObject({ count: 3 });
    expect(await alice.call("GET", keys(version))).toEqual({
      rooms: { "!one:x": { sessions: { a, b } }, "!two:x": { sessions: { c } } },
    });
    expect(await alice.call("GET", keys(version, "!one:x"))).toEqual({ sessions: { a, b } });
    expect(await alice.call("GET", keys(version, "!two:x", "c"))).toEqual(c);
    expect(await alice.call("DELETE", keys(version, "!one:x", "a"))).toMatchObject({ count: 2 });
    await expect(alice.call("GET", keys(version, "!one:x", "a"))).rejects.toMatchObject(NOT_FOUND);
    expect(await alice.call("DELETE", keys(version, "!two:x"))).toMatchObject({ count: 1 });
    expect(await alice.call("GET", keys(version, "!two:x"))).toEqual({ sessions: {} });
    expect(await alice.call("DELETE", keys(version))).toMatchObject({ count: 0 });
    expect(await alice.call("GET", keys(version))).toEqual({ rooms: {} });
  });

  test("keep the better of two sessions", async () => {
    const alice = await world().actor();
    const version = await newVersion(alice);
    const put = async (data: string, more: object) => {
      const before = await alice.call("GET", "/room_keys/version");
      const after = await alice.call("PUT", keys(version, "!one:x", "s"), session(data, more));
      const kept = (await alice.call("GET", keys(version, "!one:x", "s"))).session_data as { data: string };
      return [kept.data, before.etag === after.etag ? "as it was" : "changed"];
    };
    expect(await put("first", {})).toEqual(["first", "changed"]);
    expect(await put("same", {})).toEqual(["first", "as it was"]);
    expect(await put("later", { first_message_index: 6 })).toEqual(["first", "as it was"]);
    expect(await put("earlier", { first_message_index: 4 })).toEqual(["earlier", "changed"]);
    expect(await put("farther", { first_message_index: 4, forwarded_count: 6 })).toEqual(["earlier", "as it was"]);
    expect(await put("nearer", { first_message_index: 4, forwarded_count: 4 })).toEqual(["nearer", "changed"]);
    expect(await put("verified", { is_verified: true, first_message_index: 9 })).toEqual(["verified", "changed"]);
  });

  test("take sessions into the current version only", async () => {
    const alice = await world().actor();
    const put = (version: string) => alice.call("PUT", keys(version, "!one:x", "s"), session("s"));
    await expect(put("1")).rejects.toMatchObject(NOT_FOUND);
    const [first, second] = [await newVersion(alice), await newVersion(alice)];
    await expect(put(first)).rejects.toMatchObject({
      status: 403,
      errcode: "M_WRONG_ROOM_KEYS_VERSION",
      // Synapse names the version that was asked for: no client can rely on it.
      body: { current_version: expect.any(String) },
    });
    expect(await put(second)).toMatchObject({ count: 1 });
    await expect(alice.call("GET", keys("99"))).rejects.toMatchObject(NOT_FOUND);
    expect(await alice.call("GET", keys(first))).toEqual({ rooms: {} });
  });
}
