import { inspect } from "node:util";
import { silentLogger } from "@holdfast/key-store-core";
import { describe, expect, it } from "vitest";
import { findDevice, newDeviceId } from "../src/session/find-device.ts";
import { logOut } from "../src/session/open-session.ts";
import { Session } from "../src/session/session.ts";
import { DEVICE, makePlace, PASSWORD, USER } from "./support/session-place.ts";

const UNKNOWN_TOKEN = { name: "HomeserverError", errcode: "M_UNKNOWN_TOKEN" };

describe("a session by access token", () => {
  it("is that of the user and device that the homeserver says", async () => {
    await using place = await makePlace();
    const { session } = await place.session();
    const credentials = { type: "access-token", accessToken: session.accessToken } as const;
    const tokens = await place.session({ credentials, userId: undefined, deviceId: undefined });
    expect(tokens.session.toRecord()).toEqual({
      homeserver: place.server.url,
      userId: USER,
      deviceId: DEVICE,
      accessToken: session.accessToken,
    });
  });

  it("is refused where it is another's than configured, naming both", async () => {
    await using place = await makePlace();
    const { session } = await place.session();
    const credentials = { type: "access-token", accessToken: session.accessToken } as const;
    for (const other of [{ userId: "@other:localhost" }, { deviceId: "OTHER" }]) {
      const message = `asked for is ${other.userId ?? USER} on ${other.deviceId ?? DEVICE}`;
      await expect(place.session({ credentials, ...other })).rejects.toMatchObject({
        code: "CONFIG",
        message: expect.stringContaining(message),
      });
    }
  });

  it("is refused where the homeserver does not know the token", async () => {
    await using place = await makePlace();
    const credentials = { type: "access-token", accessToken: "syt_secret" } as const;
    const error = await place.session({ credentials }).catch((error) => error);
    expect(error).toMatchObject({ code: "LOGIN_REFUSED", cause: UNKNOWN_TOKEN });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("syt_secret");
  });
});

describe("a session by password", () => {
  it("is saved, sealed, and gone on with after a restart", async () => {
    await using place = await makePlace();
    const first = await (async () => {
      await using open = await place.open();
      const { session } = await place.session({ store: open.store });
      const [record] = await open.deviceStore.list("client/session", {}, { limit: 9 });
      expect(Buffer.from(record?.value ?? "").includes(session.accessToken)).toBe(false);
      return session.toRecord();
    })();
    expect(first).toMatchObject({ userId: USER, deviceId: DEVICE, refreshToken: expect.any(String) });
    await using open = await place.open();
    const again = await place.session({ store: open.store });
    expect(again.session.toRecord()).toEqual(first);
    expect(place.calls).toEqual(["POST /login", "GET /account/whoami"]);
  });

  it("is refused for a wrong password, which no message repeats", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const credentials = { type: "password", password: "wrong horse" } as const;
    const error = await place.session({ credentials, store: open.store }).catch((error) => error);
    expect(error).toMatchObject({ code: "LOGIN_REFUSED", retryable: false });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("wrong horse");
    expect(await open.store.load()).toBeUndefined();
  });

  it("says that there is no homeserver where there is none, and what is missing", async () => {
    await using place = await makePlace();
    await expect(place.session({ deviceId: undefined })).rejects.toMatchObject({ code: "CONFIG" });
    await place.server.close();
    await expect(place.session()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE", retryable: true });
  });

  it("is begun anew, as the same device, where the homeserver has ended the one in the store", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const tokens = await place.session({ store: open.store });
    const before = tokens.session.accessToken;
    await place.api(tokens).request("POST", "/v3/logout");
    const again = await place.session({ store: open.store });
    expect([again.session.deviceId, again.session.accessToken === before]).toEqual([DEVICE, false]);
    expect((await open.store.load())?.toRecord()).toEqual(again.session.toRecord());
  });

  it("is not that of another homeserver", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const elsewhere = { homeserver: "https://example.org", userId: USER, deviceId: DEVICE };
    await open.store.save(new Session(elsewhere, { accessToken: "syt_secret" }));
    const { session } = await place.session({ store: open.store });
    expect(session.homeserver).toBe(place.server.url);
    expect(place.calls).toEqual(["POST /login"]);
  });
});

describe("a session by login token", () => {
  it("is had once by the token, and then from the store", async () => {
    await using place = await makePlace();
    await using open = await place.open();
    const credentials = { type: "login-token", token: place.server.loginToken(USER) } as const;
    const { session } = await place.session({ credentials, store: open.store });
    const again = await place.session({ credentials, store: open.store });
    expect(again.session.toRecord()).toEqual(session.toRecord());
    await expect(place.session({ credentials })).rejects.toMatchObject({ code: "LOGIN_REFUSED" });
  });

  it("may find its device at the homeserver, and be saved afterwards", async () => {
    await using place = await makePlace();
    const credentials = { type: "login-token", token: place.server.loginToken(USER) } as const;
    const tokens = await place.session({ credentials, userId: undefined, deviceId: undefined });
    const { deviceId } = tokens.session;
    {
      await using open = await place.open(deviceId);
      await tokens.attach(open.store);
      expect((await open.store.load())?.toRecord()).toEqual(tokens.session.toRecord());
    }
    await using keyStore = await place.keyStore();
    expect(await findDevice(keyStore, USER)).toEqual({ userId: USER, deviceId });
  });
});

describe("the device of a start without a device id", () => {
  it("is the one that has a session, or was about to have one", async () => {
    await using place = await makePlace();
    await using keyStore = await place.keyStore();
    expect(await findDevice(keyStore, USER)).toBeUndefined();
    await (await keyStore.openDevice({ userId: USER, deviceId: "NOSESSION" }))?.close();
    await (await keyStore.openDevice({ userId: "@other:localhost", deviceId: DEVICE }))?.close();
    expect(await findDevice(keyStore, USER)).toBeUndefined();
    {
      await using open = await place.open();
      await open.store.begin({ homeserver: place.server.url, userId: USER, deviceId: DEVICE });
      expect(await open.store.load()).toBeUndefined();
    }
    expect(await findDevice(keyStore, USER)).toEqual({ userId: USER, deviceId: DEVICE });
    {
      await using open = await place.open();
      await place.session({ store: open.store });
    }
    expect(await findDevice(keyStore, USER)).toEqual({ userId: USER, deviceId: DEVICE });
  });

  it("is the one with the most commits where several have one, and the log says so", async () => {
    await using place = await makePlace();
    for (const deviceId of ["ONE", "TWO", "THREE"]) {
      await using open = await place.open(deviceId);
      const tokens = await place.session({ deviceId, store: open.store });
      if (deviceId === "TWO") await tokens.attach(open.store);
    }
    await using keyStore = await place.keyStore();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (line: string) => void warnings.push(line) };
    expect(await findDevice(keyStore, USER, { logger })).toEqual({ userId: USER, deviceId: "TWO" });
    expect(warnings).toEqual([`${USER} goes on as TWO, and not as ONE, THREE: MATRIX_DEVICE_ID says which to be`]);
  });

  it("is otherwise a new one", () => {
    const ids = Array.from({ length: 100 }, newDeviceId);
    expect(new Set(ids).size).toBe(100);
    expect(ids.every((id) => /^[A-Z]{10}$/.test(id))).toBe(true);
  });
});

describe("a logout", () => {
  it("ends the session at the homeserver and in the store, and may be made twice", async () => {
    await using place = await makePlace();
    {
      await using open = await place.open();
      const tokens = await place.session({ store: open.store });
      await logOut(tokens, { baseUrl: place.server.url });
      await expect(place.api(tokens).request("GET", "/v3/account/whoami")).rejects.toMatchObject(UNKNOWN_TOKEN);
      expect(await open.store.load()).toBeUndefined();
      await logOut(tokens, { baseUrl: place.server.url });
    }
    await using keyStore = await place.keyStore();
    expect(await findDevice(keyStore, USER)).toBeUndefined();
  });
});

describe("the tokens of a session", () => {
  it("are shown by nothing that shows the session", async () => {
    await using place = await makePlace();
    const tokens = await place.session();
    const { session } = tokens;
    const shown = [session, tokens, { session }].flatMap((value) => [
      inspect(value, { depth: 9, showHidden: true, customInspect: false }),
      inspect(value, { depth: 9, showHidden: true }),
      JSON.stringify(value),
      `${value}`,
    ]);
    expect(shown.join()).toContain(`Session of ${USER} on ${DEVICE} at ${place.server.url}`);
    for (const secret of [session.accessToken, session.refreshToken, PASSWORD]) {
      expect(shown.map((text) => text.includes(secret ?? "no refresh token"))).toEqual(Array(12).fill(false));
    }
  });
});
