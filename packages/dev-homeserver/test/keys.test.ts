import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DevHomeserver, startDevHomeserver } from "../src/index.ts";
import { HomeserverClient } from "../src/party/homeserver-client.ts";

let server: DevHomeserver;
beforeAll(async () => {
  server = await startDevHomeserver();
});
afterAll(() => server.close());

let users = 0;
const newUser = (deviceId = "DEVICE"): Promise<HomeserverClient> =>
  HomeserverClient.register(server.url, `keys${++users}`, { deviceId });

const oneTimeKey = (key: string, signature = "signature") => ({
  key,
  signatures: { "@someone:localhost": { "ed25519:DEVICE": signature } },
});

const deviceKeys = (client: HomeserverClient, curve25519: string) => ({
  user_id: client.credentials.userId,
  device_id: client.credentials.deviceId,
  algorithms: [],
  keys: { "curve25519:DEVICE": curve25519 },
  signatures: {},
});

const claim = async (claimer: HomeserverClient, owner: HomeserverClient): Promise<unknown> => {
  const { userId, deviceId } = owner.credentials;
  const body = { one_time_keys: { [userId]: { [deviceId]: "signed_curve25519" } } };
  const reply = await claimer.call("POST", "/keys/claim", body);
  return (reply.one_time_keys as Record<string, Record<string, unknown>>)[userId]?.[deviceId];
};

describe("one-time keys", () => {
  test("are handed out once each, oldest first, and then the fallback key again and again", async () => {
    const owner = await newUser();
    const other = await newUser();
    const fallback = { ...oneTimeKey("f"), fallback: true };
    await owner.call("POST", "/keys/upload", {
      one_time_keys: { "signed_curve25519:A": oneTimeKey("a"), "signed_curve25519:B": oneTimeKey("b") },
      fallback_keys: { "signed_curve25519:F": fallback },
    });
    expect(await claim(other, owner)).toEqual({ "signed_curve25519:A": oneTimeKey("a") });
    expect(await claim(other, owner)).toEqual({ "signed_curve25519:B": oneTimeKey("b") });
    expect(await claim(other, owner)).toEqual({ "signed_curve25519:F": fallback });
    expect(await claim(other, owner)).toEqual({ "signed_curve25519:F": fallback });
  });

  test("run out where there is no fallback key", async () => {
    const owner = await newUser();
    await owner.call("POST", "/keys/upload", { one_time_keys: { "signed_curve25519:A": oneTimeKey("a") } });
    await claim(owner, owner);
    expect(await claim(owner, owner)).toBeUndefined();
  });

  test("are counted in the upload's answer and in each sync", async () => {
    const owner = await newUser();
    const reply = await owner.call("POST", "/keys/upload", {
      one_time_keys: { "signed_curve25519:A": oneTimeKey("a"), "signed_curve25519:B": oneTimeKey("b") },
    });
    expect(reply).toEqual({ one_time_key_counts: { signed_curve25519: 2 } });
    await claim(owner, owner);
    expect((await owner.call("GET", "/sync")).device_one_time_keys_count).toEqual({ signed_curve25519: 1 });
    await claim(owner, owner);
    expect((await owner.call("GET", "/sync")).device_one_time_keys_count).toEqual({ signed_curve25519: 0 });
  });

  test("are accepted again where they are identical but for their signatures", async () => {
    const owner = await newUser();
    await owner.call("POST", "/keys/upload", { one_time_keys: { "signed_curve25519:A": oneTimeKey("a", "first") } });
    const again = { one_time_keys: { "signed_curve25519:A": oneTimeKey("a", "second") } };
    const reply = await owner.call("POST", "/keys/upload", again);
    expect(reply).toEqual({ one_time_key_counts: { signed_curve25519: 1 } });
  });

  test("are handed out a second time when their owner publishes them again after a claim", async () => {
    const owner = await newUser();
    const upload = { one_time_keys: { "signed_curve25519:A": oneTimeKey("a") } };
    await owner.call("POST", "/keys/upload", upload);
    expect(await claim(owner, owner)).toEqual({ "signed_curve25519:A": oneTimeKey("a") });
    await owner.call("POST", "/keys/upload", upload);
    expect(await claim(owner, owner)).toEqual({ "signed_curve25519:A": oneTimeKey("a") });
  });

  test("are refused as a whole where another key has the id of one of them", async () => {
    const owner = await newUser();
    await owner.call("POST", "/keys/upload", { one_time_keys: { "signed_curve25519:A": oneTimeKey("a") } });
    const upload = owner.call("POST", "/keys/upload", {
      one_time_keys: { "signed_curve25519:B": oneTimeKey("b"), "signed_curve25519:A": oneTimeKey("another") },
    });
    await expect(upload).rejects.toMatchObject({
      status: 400,
      errcode: "M_UNKNOWN",
      message: expect.stringContaining("One time key signed_curve25519:A already exists"),
    });
    const counts = await owner.call("POST", "/keys/upload", {});
    expect(counts).toEqual({ one_time_key_counts: { signed_curve25519: 1 } });
  });
});

describe("fallback keys", () => {
  test("are unused until somebody claims one, and again when another takes its place", async () => {
    const owner = await newUser();
    const unused = async () => (await owner.call("GET", "/sync")).device_unused_fallback_key_types;
    expect(await unused()).toEqual([]);
    await owner.call("POST", "/keys/upload", { fallback_keys: { "signed_curve25519:F": oneTimeKey("f") } });
    expect(await unused()).toEqual(["signed_curve25519"]);
    await claim(owner, owner);
    expect(await unused()).toEqual([]);
    await owner.call("POST", "/keys/upload", { fallback_keys: { "signed_curve25519:F": oneTimeKey("f") } });
    expect(await unused()).toEqual([]);
    await owner.call("POST", "/keys/upload", { fallback_keys: { "signed_curve25519:G": oneTimeKey("g") } });
    expect(await unused()).toEqual(["signed_curve25519"]);
  });
});

describe("device keys", () => {
  test("replace those that were there, whatever they were", async () => {
    const owner = await newUser();
    const { userId } = owner.credentials;
    await owner.call("POST", "/keys/upload", { device_keys: deviceKeys(owner, "first") });
    await owner.call("POST", "/keys/upload", { device_keys: deviceKeys(owner, "second") });
    const reply = await owner.call("POST", "/keys/query", { device_keys: { [userId]: [] } });
    expect(reply.device_keys).toEqual({ [userId]: { DEVICE: deviceKeys(owner, "second") } });
  });

  test("of another device are refused", async () => {
    const [owner, other] = [await newUser(), await newUser()];
    const upload = other.call("POST", "/keys/upload", { device_keys: deviceKeys(owner, "stolen") });
    await expect(upload).rejects.toMatchObject({ status: 400, errcode: "M_INVALID_PARAM" });
  });

  test("go with their device when it logs out", async () => {
    const owner = await newUser();
    const other = await newUser();
    const { userId } = owner.credentials;
    await owner.call("POST", "/keys/upload", { device_keys: deviceKeys(owner, "key") });
    await owner.call("POST", "/logout");
    const reply = await other.call("POST", "/keys/query", { device_keys: { [userId]: [] } });
    expect(reply.device_keys).toEqual({ [userId]: {} });
    await expect(owner.call("GET", "/account/whoami")).rejects.toMatchObject({ errcode: "M_UNKNOWN_TOKEN" });
  });
});

describe("cross-signing keys", () => {
  const crossSigning = (userId: string, key: string) => ({
    master_key: { user_id: userId, usage: ["master"], keys: { [`ed25519:${key}`]: key } },
    user_signing_key: { user_id: userId, usage: ["user_signing"], keys: { [`ed25519:u${key}`]: `u${key}` } },
  });

  test("are taken the first time, and replaced with the user's password only", async () => {
    const owner = await HomeserverClient.register(server.url, "signer", { password: "secret" });
    const { userId } = owner.credentials;
    await owner.call("POST", "/keys/device_signing/upload", crossSigning(userId, "one"));
    const second = crossSigning(userId, "two");
    const refused = owner.call("POST", "/keys/device_signing/upload", second);
    await expect(refused).rejects.toMatchObject({ status: 401, body: { flows: [{ stages: ["m.login.password"] }] } });
    const auth = { type: "m.login.password", password: "secret" };
    await owner.call("POST", "/keys/device_signing/upload", { ...second, auth });
    const reply = await owner.call("POST", "/keys/query", { device_keys: { [userId]: [] } });
    expect(reply.master_keys).toEqual({ [userId]: second.master_key });
  });

  test("show user-signing keys and signatures on others' master keys to their own user only", async () => {
    const [alice, bob] = [await newUser(), await newUser()];
    const [aliceId, bobId] = [alice.credentials.userId, bob.credentials.userId];
    await alice.call("POST", "/keys/device_signing/upload", crossSigning(aliceId, "alice"));
    await bob.call("POST", "/keys/device_signing/upload", crossSigning(bobId, "bob"));
    const opinion = { signatures: { [aliceId]: { "ed25519:ualice": "signed" } } };
    const signed = await alice.call("POST", "/keys/signatures/upload", { [bobId]: { bob: opinion, nobody: opinion } });
    expect(Object.keys((signed.failures as Record<string, object>)[bobId] ?? {})).toEqual(["nobody"]);
    const master = crossSigning(bobId, "bob").master_key;
    const query = { device_keys: { [bobId]: [] } };
    const seenByAlice = await alice.call("POST", "/keys/query", query);
    expect(seenByAlice.master_keys).toEqual({ [bobId]: { ...master, ...opinion } });
    expect(seenByAlice.user_signing_keys).toEqual({});
    const seenByBob = await bob.call("POST", "/keys/query", query);
    expect(seenByBob.master_keys).toEqual({ [bobId]: master });
    expect(seenByBob.user_signing_keys).toEqual({ [bobId]: crossSigning(bobId, "bob").user_signing_key });
  });

  test("sign a device's keys, which then carry the signature", async () => {
    const owner = await newUser();
    const { userId } = owner.credentials;
    await owner.call("POST", "/keys/upload", { device_keys: deviceKeys(owner, "key") });
    const signature = { signatures: { [userId]: { "ed25519:self": "signed" } } };
    await owner.call("POST", "/keys/signatures/upload", { [userId]: { DEVICE: signature } });
    const reply = await owner.call("POST", "/keys/query", { device_keys: { [userId]: [] } });
    expect(reply.device_keys).toEqual({ [userId]: { DEVICE: { ...deviceKeys(owner, "key"), ...signature } } });
  });
});
