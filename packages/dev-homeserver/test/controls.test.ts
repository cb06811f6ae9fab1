import { expect, test } from "vitest";
import { startDevHomeserver } from "../src/index.ts";
import { HomeserverClient, path } from "../src/party/homeserver-client.ts";

const login = async (url: string, body: object) => {
  const response = await fetch(`${url}/_matrix/client/v3/login`, { method: "POST", body: JSON.stringify(body) });
  return (await response.json()) as Record<string, string>;
};

test("to-device messages come in pages of the size that was asked for, and are counted until they are acknowledged", async () => {
  await using server = await startDevHomeserver({ toDeviceLimit: 3 });
  const alice = await HomeserverClient.register(server.url, "alice", { deviceId: "ONE" });
  for (let n = 1; n <= 5; n += 1) {
    const endpoint = path("sendToDevice", "org.example.note", String(n));
    await alice.call("PUT", endpoint, { messages: { "@alice:localhost": { ONE: { n } } } });
  }
  const pages: unknown[] = [];
  let query = "";
  for (let page = 0; page < 3; page += 1) {
    const reply = await alice.call("GET", `/sync${query}`);
    const { events } = (reply.to_device ?? { events: [] }) as { events: { content: { n: number } }[] };
    pages.push([events.map((event) => event.content.n), server.toDeviceWaiting("@alice:localhost", "ONE")]);
    query = `?since=${reply.next_batch}`;
  }
  expect(pages).toEqual([
    [[1, 2, 3], 5],
    [[4, 5], 2],
    [[], 0],
  ]);
});

test("access tokens that are let expire log a device out softly, and its refresh token gives another", async () => {
  await using server = await startDevHomeserver({ accessTokenLifetimeMs: 60_000 });
  const { userId } = await server.registerUser("alice", "secret");
  const identifier = { type: "m.id.user", user: "alice" };
  const body = { type: "m.login.password", identifier, password: "secret", device_id: "ONE", refresh_token: true };
  const tokens = await login(server.url, body);
  expect(tokens.expires_in_ms).toBe(60_000);
  server.expireAccessTokens(userId, "ONE");
  const whoami = (token: string | undefined) =>
    fetch(`${server.url}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${token}` } });
  const expired = await whoami(tokens.access_token);
  expect([expired.status, await expired.json()]).toMatchObject([
    401,
    { errcode: "M_UNKNOWN_TOKEN", soft_logout: true },
  ]);
  const refreshed = await fetch(`${server.url}/_matrix/client/v3/refresh`, {
    method: "POST",
    body: JSON.stringify({ refresh_token: tokens.refresh_token }),
  });
  expect((await whoami(((await refreshed.json()) as Record<string, string>).access_token)).status).toBe(200);
});

test("login tokens can be had without a login", async () => {
  await using server = await startDevHomeserver();
  const { userId } = await server.registerUser("alice", "secret");
  const token = server.loginToken(userId);
  expect(await login(server.url, { type: "m.login.token", token })).toMatchObject({ user_id: userId });
});

test("the first cross-signing keys need the password too, where that is asked for", async () => {
  await using server = await startDevHomeserver({ alwaysReauthenticate: true });
  const alice = await HomeserverClient.register(server.url, "alice", { password: "secret" });
  const keys = { master_key: { user_id: "@alice:localhost", usage: ["master"], keys: { "ed25519:a": "a" } } };
  const upload = (body: object) => alice.call("POST", "/keys/device_signing/upload", { ...keys, ...body });
  await expect(upload({})).rejects.toMatchObject({ status: 401, body: { flows: [{ stages: ["m.login.password"] }] } });
  expect(await upload({ auth: { type: "m.login.password", password: "secret" } })).toEqual({});
});

test("files are taken up to the size that was asked for", async () => {
  await using server = await startDevHomeserver({ maxUploadBytes: 10 });
  const { credentials } = await HomeserverClient.register(server.url, "alice");
  const upload = (bytes: number) =>
    fetch(`${server.url}/_matrix/media/v3/upload`, {
      method: "POST",
      headers: { authorization: `Bearer ${credentials.accessToken}` },
      body: new Uint8Array(bytes),
    });
  expect([(await upload(10)).status, (await upload(11)).status]).toEqual([200, 413]);
});

test("the journal forgets the oldest beyond its limit", async () => {
  await using small = await startDevHomeserver({ journalLimit: 2 });
  for (let n = 0; n < 3; n += 1) await fetch(`${small.url}/_matrix/client/versions?n=${n}`);
  expect(small.journal.entries().map(({ call }) => call.query.get("n"))).toEqual(["1", "2"]);
});
