import { afterAll, beforeAll, expect, test } from "vitest";
import { type DevHomeserver, startDevHomeserver } from "../src/index.ts";
import { HomeserverClient, path } from "../src/party/homeserver-client.ts";

let server: DevHomeserver;
beforeAll(async () => {
  server = await startDevHomeserver();
});
afterAll(() => server.close());

const post = (endpoint: string, body: string): Promise<Response> =>
  fetch(`${server.url}/_matrix/client/v3${endpoint}`, { method: "POST", body });

test("registration asks for its dummy stage first, and takes a name once", async () => {
  const refused = await post("/register", JSON.stringify({ username: "first", password: "secret" }));
  expect(refused.status).toBe(401);
  expect(await refused.json()).toMatchObject({ flows: [{ stages: ["m.login.dummy"] }] });
  const client = await HomeserverClient.register(server.url, "first", { deviceId: "ONE" });
  expect(await client.call("GET", "/account/whoami")).toEqual({
    user_id: "@first:localhost",
    device_id: "ONE",
    is_guest: false,
  });
  await expect(HomeserverClient.register(server.url, "first")).rejects.toMatchObject({ errcode: "M_USER_IN_USE" });
});

test("requests that nobody can answer are told why", async () => {
  const errcode = async (response: Response) => [response.status, ((await response.json()) as Refusal).errcode];
  type Refusal = { errcode: string };
  expect(await errcode(await post("/nowhere", "{}"))).toEqual([404, "M_UNRECOGNIZED"]);
  expect(await errcode(await post("/account/whoami", "{}"))).toEqual([405, "M_UNRECOGNIZED"]);
  expect(await errcode(await post("/register", "{"))).toEqual([400, "M_NOT_JSON"]);
  expect(await errcode(await post("/register", "[]"))).toEqual([400, "M_BAD_JSON"]);
  expect(await errcode(await post("/keys/upload", "{}"))).toEqual([401, "M_MISSING_TOKEN"]);
});

test("a filter is given back to the user who left it, and obeyed by its id", async () => {
  const client = await HomeserverClient.register(server.url, "filtering");
  const filter = { room: { timeline: { limit: 2 } } };
  const user = path("user", client.credentials.userId, "filter");
  const { filter_id: id } = await client.call("POST", user, filter);
  expect(await client.call("GET", `${user}/${id}`)).toEqual(filter);
  const { room_id: room } = await client.call("POST", "/createRoom", {});
  const reply = await client.call("GET", `/sync?filter=${id}`);
  const rooms = reply.rooms as { join: Record<string, { timeline: { events: unknown[] } }> };
  expect(rooms.join[String(room)]?.timeline.events).toHaveLength(2);
});

test("what the server has nothing of is told as a server does that knows of it", async () => {
  const client = await HomeserverClient.register(server.url, "bare");
  const none = { override: [], content: [], room: [], sender: [], underride: [] };
  expect(await client.call("GET", "/pushrules/")).toEqual({ global: none });
  const absent = { status: 404, errcode: "M_NOT_FOUND" };
  await expect(client.call("GET", "/room_keys/version")).rejects.toMatchObject(absent);
  const secret = path("user", client.credentials.userId, "account_data", "m.secret_storage.default_key");
  await expect(client.call("GET", secret)).rejects.toMatchObject(absent);
});

test("a middleware sees the call, and may answer in the handler's stead", async () => {
  const client = await HomeserverClient.register(server.url, "limited");
  const seen: string[] = [];
  const remove = server.use((call) => {
    seen.push(`${call.method} ${call.route} by ${call.device?.userId}`);
    return Promise.resolve({ status: 429, body: { errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 5 } });
  });
  await expect(client.call("GET", "/account/whoami")).rejects.toMatchObject({ status: 429 });
  remove();
  await client.call("GET", "/account/whoami");
  expect(seen).toEqual(["GET /_matrix/client/v3/account/whoami by @limited:localhost"]);
});

test("a middleware may lose the answer of a request that was done", async () => {
  const client = await HomeserverClient.register(server.url, "unlucky");
  const remove = server.use(async (_call, next) => {
    await next();
    return "hang up";
  });
  await expect(client.call("POST", "/createRoom", {})).rejects.toThrow("fetch failed");
  remove();
  expect((await client.call("GET", "/joined_rooms")).joined_rooms).toHaveLength(1);
});

test("closing ends a sync that waits", async () => {
  const shortLived = await startDevHomeserver();
  const client = await HomeserverClient.register(shortLived.url, "waiting");
  const { next_batch: since } = await client.call("GET", "/sync");
  const arrived = new Promise<void>((resolve) => {
    shortLived.use((_call, next) => {
      resolve();
      return next();
    });
  });
  const waiting = client.call("GET", `/sync?since=${since}&timeout=60000`);
  const ended = expect(waiting).rejects.toThrow("fetch failed");
  await arrived;
  await shortLived.close();
  await ended;
});
