import { expect, test } from "vitest";
import { type Actor, path, type World } from "./actors.ts";

const V3 = "/_matrix/client/v3";

export function sessionSuite(world: () => World): void {
  const password = (user: string, secret: string, more: object = {}) => ({
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password: secret,
    ...more,
  });
  const login = (body: object) => world().bare("POST", `${V3}/login`, body);
  const whoami = (token: string) => world().bare("GET", `${V3}/account/whoami`, undefined, token);
  const auth = (actor: Actor, secret = "secret", more: object = {}) => ({
    auth: password(actor.userId, secret, more),
  });

  test("are begun with a password, and say whose they are", async () => {
    const alice = await world().actor();
    expect(await alice.call("GET", "/account/whoami")).toEqual({
      user_id: alice.userId,
      device_id: "DEVICE",
      is_guest: false,
    });
    const { body } = await world().bare("GET", `${V3}/login`);
    expect((body.flows as { type: string }[]).map((flow) => flow.type)).toContain("m.login.password");
    const { versions } = (await world().bare("GET", "/_matrix/client/versions")).body;
    expect(versions).toContain("v1.11");
  });

  test("are refused with a wrong password, and for somebody unknown in the same way", async () => {
    const alice = await world().actor();
    const refused = { status: 403, body: { errcode: "M_FORBIDDEN", error: "Invalid username or password" } };
    expect(await login(password(alice.userId, "wrong"))).toEqual(refused);
    expect(await login(password("nobody", "wrong"))).toEqual(refused);
    expect(await login({ type: "m.login.nothing" })).toMatchObject({
      status: 400,
      body: { errcode: "M_INVALID_PARAM" },
    });
  });

  test("need a token, and one that is somebody's", async () => {
    expect(await world().bare("GET", `${V3}/account/whoami`)).toMatchObject({
      status: 401,
      body: { errcode: "M_MISSING_TOKEN" },
    });
    expect(await whoami("nobody's")).toMatchObject({
      status: 401,
      body: { errcode: "M_UNKNOWN_TOKEN", soft_logout: false },
    });
  });

  test("end with their device at a logout", async () => {
    const alice = await world().actor();
    const other = await world().login(alice.userId, "OTHER");
    expect(await alice.call("POST", "/logout", {})).toEqual({});
    expect(await whoami(alice.token)).toMatchObject({ status: 401, body: { errcode: "M_UNKNOWN_TOKEN" } });
    const { devices } = await other.call("GET", "/devices");
    expect(devices).toMatchObject([{ device_id: "OTHER" }]);
    await other.call("POST", "/logout/all", {});
    expect(await whoami(other.token)).toMatchObject({ status: 401 });
  });

  test("of a device go on when it logs in again, each with its token, until it ends", async () => {
    const alice = await world().actor();
    const again = await world().login(alice.userId, "DEVICE");
    for (const { token } of [alice, again]) {
      expect(await whoami(token)).toMatchObject({ status: 200, body: { device_id: "DEVICE" } });
    }
    await again.call("POST", "/logout", {});
    for (const { token } of [alice, again]) expect(await whoami(token)).toMatchObject({ status: 401 });
  });

  test("can be refreshed, with a token that is good until what it gave is used", async () => {
    const alice = await world().actor();
    const first = (await login(password(alice.userId, "secret", { refresh_token: true }))).body;
    const refresh = (token: unknown) => world().bare("POST", `${V3}/refresh`, { refresh_token: token });
    const lost = (await refresh(first.refresh_token)).body;
    const second = (await refresh(first.refresh_token)).body;
    expect(second).toEqual({
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      expires_in_ms: expect.any(Number),
    });
    for (const { expires_in_ms: left } of [first, second]) {
      expect(left).toBeGreaterThan(280_000);
      expect(left).toBeLessThanOrEqual(300_000);
    }
    expect(await whoami(String(lost.access_token))).toMatchObject({ status: 401 });
    expect(await whoami(String(second.access_token))).toMatchObject({ status: 200 });
    expect(await refresh(first.refresh_token)).toMatchObject({ status: 403, body: { errcode: "M_FORBIDDEN" } });
    const third = await refresh(second.refresh_token);
    expect(await whoami(String(third.body.access_token))).toMatchObject({ status: 200 });
    for (const token of [first.refresh_token, "nobody's"]) {
      expect(await refresh(token)).toMatchObject({ status: 401, body: { errcode: "M_UNKNOWN_TOKEN" } });
    }
  });

  test("are begun with a login token, once", async () => {
    const alice = await world().actor();
    const { body } = await world().bare("POST", "/_matrix/client/v1/login/get_token", {}, alice.token);
    const token = { type: "m.login.token", token: body.login_token, device_id: "BY_TOKEN" };
    expect(await login(token)).toMatchObject({ status: 200, body: { user_id: alice.userId, device_id: "BY_TOKEN" } });
    expect(await login(token)).toMatchObject({ status: 403, body: { errcode: "M_FORBIDDEN" } });
  });

  test("name their devices, and end with them, which needs the password", async () => {
    const alice = await world().actor();
    const other = await world().login(alice.userId, "OTHER");
    await alice.call("PUT", path("devices", "OTHER"), { display_name: "a name" });
    expect(await alice.call("GET", path("devices", "OTHER"))).toMatchObject({
      device_id: "OTHER",
      display_name: "a name",
    });
    const absent = alice.call("GET", path("devices", "NOWHERE"));
    await expect(absent).rejects.toMatchObject({ status: 404, errcode: "M_NOT_FOUND" });
    const end = (body: object = {}) => world().bare("DELETE", `${V3}/devices/OTHER`, body, alice.token);
    const asked = await end();
    expect(asked).toEqual({
      status: 401,
      body: { session: expect.any(String), flows: [{ stages: ["m.login.password"] }], params: {} },
    });
    const { session } = asked.body;
    expect(await end(auth(alice, "wrong", { session }))).toMatchObject({
      status: 401,
      body: { errcode: "M_FORBIDDEN", session: expect.any(String), completed: [] },
    });
    expect(await whoami(other.token)).toMatchObject({ status: 200 });
    const again = await end();
    expect(await end(auth(alice, "secret", { session: again.body.session }))).toEqual({ status: 200, body: {} });
    expect(await whoami(other.token)).toMatchObject({ status: 401 });
  });

  test("are not given to who authenticates as somebody else", async () => {
    const [alice, bob] = await world().actors(2);
    if (alice === undefined || bob === undefined) throw new Error("two were asked for");
    await world().login(alice.userId, "OTHER");
    const asked = await world().bare("DELETE", `${V3}/devices/OTHER`, {}, alice.token);
    const body = { auth: { ...password(bob.userId, "secret"), session: asked.body.session } };
    expect(await world().bare("DELETE", `${V3}/devices/OTHER`, body, alice.token)).toMatchObject({
      status: 403,
      body: { errcode: "M_FORBIDDEN" },
    });
  });
}
