import { setImmediate as immediate } from "node:timers/promises";
import type { Call } from "@holdfast/dev-homeserver";
import { afterEach, describe, expect, it, vi } from "vitest";
import { DEVICE, makePlace, type Place, USER } from "./support/session-place.ts";

const UNKNOWN_TOKEN = { name: "HomeserverError", errcode: "M_UNKNOWN_TOKEN" };
const loginToken = (place: Place) => ({ type: "login-token", token: place.server.loginToken(USER) }) as const;

afterEach(() => void vi.useRealTimers());

/** Lets time be later, for the homeserver and for the client. */
function later(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

describe("an access token that has ended", () => {
  it("is made new once for all requests that found out, and each is made again", async () => {
    await using place = await makePlace();
    const tokens = await place.session();
    const api = place.api(tokens);
    place.server.expireAccessTokens(USER, DEVICE);
    const answers = await Promise.all(Array.from({ length: 5 }, () => api.request("GET", "/v3/account/whoami")));
    expect(answers.map(({ device_id }) => device_id)).toEqual(Array(5).fill(DEVICE));
    expect(place.calls.filter((call) => call === "POST /refresh")).toHaveLength(1);
  });

  it("is made new although the answer to that was lost", async () => {
    await using place = await makePlace();
    const tokens = await place.session();
    place.server.expireAccessTokens(USER, DEVICE);
    let lost = 0;
    place.server.use(async (call, next) => {
      const outcome = await next();
      return call.route.endsWith("/refresh") && lost++ === 0 ? "hang up" : outcome;
    });
    expect(await place.api(tokens).request("GET", "/v3/account/whoami")).toMatchObject({ device_id: DEVICE });
    expect(lost).toBe(2);
  });

  it("is made new ahead of its end, without a refusal", async () => {
    // From here on time stands still but for what is said: the test itself takes none of it.
    later(0);
    await using place = await makePlace({ accessTokenLifetimeMs: 300_000 });
    const tokens = await place.session();
    const { accessToken } = tokens.session;
    later(269_000);
    await place.api(tokens).request("GET", "/v3/account/whoami");
    expect(tokens.session.accessToken).toBe(accessToken);
    later(2_000);
    await place.api(tokens).request("GET", "/v3/account/whoami");
    expect(tokens.session.accessToken).not.toBe(accessToken);
    expect(place.calls.slice(1)).toEqual(["GET /account/whoami", "POST /refresh", "GET /account/whoami"]);
  });

  it("serves until its end where it could not be made new ahead of it, and is asked for once", async () => {
    await using place = await makePlace({ accessTokenLifetimeMs: 300_000 });
    const tokens = await place.session();
    const { accessToken } = tokens.session;
    let asked = 0;
    place.server.use(async (call, next) => {
      if (!call.route.endsWith("/refresh")) return next();
      asked++;
      return { status: 403, body: { errcode: "M_FORBIDDEN", error: "no" } };
    });
    later(271_000);
    for (let request = 0; request < 3; request++) await place.api(tokens).request("GET", "/v3/account/whoami");
    expect([tokens.session.accessToken === accessToken, asked]).toEqual([true, 1]);
  });
});

describe("a new pair of tokens", () => {
  it("is in the store before the homeserver sees any of it", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const tokens = await place.session({ store: open.store });
    const saved: (string | undefined)[] = [];
    place.server.use(async (call: Call, next) => {
      if (call.route.endsWith("/whoami")) saved.push((await open.store.load())?.accessToken);
      return next();
    });
    place.server.expireAccessTokens(USER, DEVICE);
    const old = tokens.session.accessToken;
    await place.api(tokens).request("GET", "/v3/account/whoami");
    expect(saved).toEqual([old, tokens.session.accessToken]);
    expect(saved[1]).not.toBe(old);
  });

  it("is durable when its save resolves, while somebody else's batch runs", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const { session } = await place.session();
    const { revision } = open.deviceStore;
    const end = Promise.withResolvers<void>();
    const batch = open.deviceStore.batch(() => end.promise);
    const order: string[] = [];
    const save = open.store.save(session).then(() => order.push(`saved at ${open.deviceStore.revision}`));
    for (let turn = 0; turn < 5; turn++) await immediate();
    order.push("batch ends");
    end.resolve();
    await Promise.all([batch, save]);
    expect(order).toEqual(["batch ends", `saved at ${revision + 1n}`]);
  });

  it("is not used where it cannot be saved: what is saved stays good, for a restart too", async () => {
    await using place = await makePlace();
    const open = await place.open();
    const tokens = await place.session({ credentials: loginToken(place), store: open.store });
    place.server.expireAccessTokens(USER, DEVICE);
    await open.keyStore.close();
    const api = place.api(tokens);
    for (let request = 0; request < 2; request++) {
      await expect(api.request("GET", "/v3/account/whoami")).rejects.toMatchObject({ code: "ERR_KEY_STORE_CLOSED" });
    }
    expect(place.calls.filter((call) => call === "POST /refresh")).toHaveLength(1);
    await using restarted = await place.open();
    const again = await place.session({ credentials: loginToken(place), store: restarted.store });
    expect(again.session.deviceId).toBe(DEVICE);
    expect(place.calls.filter((call) => call === "POST /login")).toHaveLength(1);
  });

  it("is saved and used when the store is there again", async () => {
    await using place = await makePlace();
    const open = await place.open();
    const tokens = await place.session({ credentials: loginToken(place), store: open.store });
    place.server.expireAccessTokens(USER, DEVICE);
    await open.keyStore.close();
    const api = place.api(tokens);
    await expect(api.request("GET", "/v3/account/whoami")).rejects.toMatchObject({ code: "ERR_KEY_STORE_CLOSED" });
    await using back = await place.open();
    await tokens.attach(back.store);
    expect(await api.request("GET", "/v3/account/whoami")).toMatchObject({ device_id: DEVICE });
    expect((await back.store.load())?.toRecord()).toEqual(tokens.session.toRecord());
    expect(place.calls.filter((call) => call === "POST /refresh")).toHaveLength(1);
  });

  it("is used unsaved where a password would bring the session back", async () => {
    await using place = await makePlace();
    const open = await place.open();
    const tokens = await place.session({ store: open.store });
    place.server.expireAccessTokens(USER, DEVICE);
    await open.keyStore.close();
    expect(await place.api(tokens).request("GET", "/v3/account/whoami")).toMatchObject({ device_id: DEVICE });
    await using restarted = await place.open();
    const again = await place.session({ store: restarted.store });
    expect(again.session.deviceId).toBe(DEVICE);
    expect(place.calls.filter((call) => call === "POST /login")).toHaveLength(2);
  });
});

describe("a session that the homeserver has ended", () => {
  it("stays ended while the program runs, although there is a password", async () => {
    await using place = await makePlace();
    const tokens = await place.session();
    const api = place.api(tokens);
    await api.request("POST", "/v3/logout");
    await expect(api.request("GET", "/v3/account/whoami")).rejects.toMatchObject(UNKNOWN_TOKEN);
    expect(place.calls.filter((call) => call === "POST /login")).toHaveLength(1);
  });

  it("is had again by password as the same device where only its tokens have ended", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const tokens = await place.session({ store: open.store });
    place.server.expireAccessTokens(USER, DEVICE);
    place.server.use(async (call, next) =>
      call.route.endsWith("/refresh") ? { status: 403, body: { errcode: "M_FORBIDDEN", error: "no" } } : next(),
    );
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => place.api(tokens).request("GET", "/v3/account/whoami")),
    );
    expect(answers.map(({ device_id }) => device_id)).toEqual([DEVICE, DEVICE, DEVICE]);
    expect(place.calls.filter((call) => call === "POST /login")).toHaveLength(2);
    expect((await open.store.load())?.toRecord()).toEqual(tokens.session.toRecord());
  });
});
