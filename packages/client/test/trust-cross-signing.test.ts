import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { DeviceId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CrossSigning } from "../src/trust/cross-signing/cross-signing.ts";
import { Device, newUser } from "./trust/device.ts";
import { cutOnce } from "./trust/faults.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

/** Watches what reaches an endpoint, by the bodies that were answered. */
function watch(route: string) {
  const calls: { readonly status: number; readonly auth: boolean }[] = [];
  const stop = homeserver.use(async (call, next) => {
    const outcome = await next();
    if (call.route.endsWith(route)) {
      calls.push({ status: outcome === "hang up" ? 0 : outcome.status, auth: "auth" in call.body });
    }
    return outcome;
  });
  return { calls, [Symbol.dispose]: stop };
}

const UPLOAD = "/keys/device_signing/upload";

async function publishedMasterKey(device: Device): Promise<string | undefined> {
  const { userId } = device.user;
  const answer = await device.api.request("POST", "/v3/keys/query", { body: { device_keys: { [userId]: [] } } });
  const masterKeys = answer.master_keys as Record<string, { keys: Record<string, string> }>;
  return Object.values(masterKeys[userId]?.keys ?? {})[0];
}

const COMPLETE = { published: true, privateKeys: true, deviceSigned: true };

describe("setting cross-signing up", () => {
  it("publishes an identity, signs the device, and does nothing the second time", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    const crossSigning = new CrossSigning(device);
    using uploads = watch(UPLOAD);
    expect(await crossSigning.status()).toEqual({ published: false, privateKeys: false, deviceSigned: false });
    expect(await crossSigning.bootstrap()).toBe("created");
    expect(await crossSigning.status()).toEqual(COMPLETE);
    const masterKey = await publishedMasterKey(device);
    expect(await crossSigning.bootstrap()).toBe("unchanged");
    expect(await publishedMasterKey(device)).toBe(masterKey);
    expect(uploads.calls).toEqual([{ status: 200, auth: false }]);
  });

  it("lets others see a device that is signed by its owner", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    await new CrossSigning(alice).bootstrap();
    await bob.encryption.run((machine) => machine.updateTrackedUsers([new UserId(alice.user.userId)]));
    await bob.encryption.flush();
    const seen = await bob.encryption.run(async (machine) => {
      const device = await machine.getDevice(new UserId(alice.user.userId), new DeviceId(alice.deviceId));
      return device?.isCrossSignedByOwner();
    });
    expect(seen).toBe(true);
  });

  it("goes on after a restart with the identity that it has", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    await new CrossSigning(device).bootstrap();
    const masterKey = await publishedMasterKey(device);
    await device.restart();
    expect(await new CrossSigning(device).bootstrap()).toBe("unchanged");
    expect(await publishedMasterKey(device)).toBe(masterKey);
  });

  it.each(["before", "after"] as const)("finishes after a restart what was cut %s the upload", async (when) => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    {
      using _ = cutOnce(homeserver, UPLOAD, when);
      await expect(new CrossSigning(device).bootstrap()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    const masterKey = await publishedMasterKey(device);
    expect(masterKey === undefined).toBe(when === "before");
    await device.restart();
    expect(await new CrossSigning(device).bootstrap()).toBe("completed");
    if (when === "after") expect(await publishedMasterKey(device)).toBe(masterKey);
    expect(await new CrossSigning(device).status()).toEqual(COMPLETE);
  });

  it.each(["before", "after"] as const)("finishes after a restart what was cut %s the signatures", async (when) => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    {
      using _ = cutOnce(homeserver, "/keys/signatures/upload", when);
      await expect(new CrossSigning(device).bootstrap()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    const masterKey = await publishedMasterKey(device);
    await device.restart();
    expect(await new CrossSigning(device).bootstrap()).toBe("completed");
    expect(await publishedMasterKey(device)).toBe(masterKey);
    expect(await new CrossSigning(device).status()).toEqual(COMPLETE);
  });

  it("never replaces the identity that another device has published", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await new CrossSigning(first).bootstrap();
    const masterKey = await publishedMasterKey(first);
    using uploads = watch(UPLOAD);
    await expect(new CrossSigning(second).bootstrap({ password: user.password })).rejects.toMatchObject({
      code: "ALREADY_SET_UP",
    });
    expect(uploads.calls).toEqual([]);
    expect(await publishedMasterKey(second)).toBe(masterKey);
  });

  it("makes nothing while it is unknown whether there is an identity", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    using uploads = watch(UPLOAD);
    {
      using _ = cutOnce(homeserver, "/keys/query", "before");
      await expect(new CrossSigning(device).bootstrap()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    expect(uploads.calls).toEqual([]);
    expect(await new CrossSigning(device).status()).toMatchObject({ published: false, privateKeys: false });
  });
});

describe("resetting cross-signing", () => {
  it("replaces the identity by the password", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await new CrossSigning(first).bootstrap();
    const masterKey = await publishedMasterKey(first);
    using uploads = watch(UPLOAD);
    expect(await new CrossSigning(second).bootstrap({ reset: true, password: user.password })).toBe("created");
    expect(await publishedMasterKey(second)).not.toBe(masterKey);
    expect(await new CrossSigning(second).status()).toEqual(COMPLETE);
    expect(await new CrossSigning(first).status()).toEqual({
      published: true,
      privateKeys: false,
      deviceSigned: false,
    });
    expect(uploads.calls).toEqual([
      { status: 401, auth: false },
      { status: 200, auth: true },
    ]);
  });

  it("asks the callback, with what the homeserver wants", async () => {
    const user = await newUser(homeserver, "alice");
    await using device = await Device.of(user);
    await new CrossSigning(device).bootstrap();
    const flows: unknown[] = [];
    const outcome = await new CrossSigning(device).bootstrap({
      reset: true,
      auth: (challenge) => {
        flows.push(challenge.flows);
        return {
          type: "m.login.password",
          identifier: { type: "m.id.user", user: user.userId },
          password: user.password,
        };
      },
    });
    expect(outcome).toBe("created");
    expect(flows).toEqual([[["m.login.password"]]]);
  });

  it("goes on with the identity that it made, once the password is right", async () => {
    const user = await newUser(homeserver, "alice");
    await using device = await Device.of(user);
    const crossSigning = new CrossSigning(device);
    await crossSigning.bootstrap();
    const masterKey = await publishedMasterKey(device);
    await expect(crossSigning.bootstrap({ reset: true, password: "wrong" })).rejects.toMatchObject({
      code: "LOGIN_REFUSED",
    });
    expect(await publishedMasterKey(device)).toBe(masterKey);
    // The engine sees the former identity meanwhile, and drops the private keys of the new one.
    expect(await crossSigning.status()).toMatchObject({ privateKeys: false });
    await device.restart();
    expect(await new CrossSigning(device).bootstrap({ password: user.password })).toBe("completed");
    expect(await publishedMasterKey(device)).not.toBe(masterKey);
    expect(await new CrossSigning(device).status()).toEqual(COMPLETE);
  });

  it("drops what it had begun where another device was faster", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    {
      using _ = cutOnce(homeserver, UPLOAD, "before");
      await expect(new CrossSigning(first).bootstrap()).rejects.toMatchObject({ code: "HOMESERVER_UNREACHABLE" });
    }
    await new CrossSigning(second).bootstrap();
    const masterKey = await publishedMasterKey(second);
    await expect(new CrossSigning(first).bootstrap({ password: user.password })).rejects.toMatchObject({
      code: "ALREADY_SET_UP",
    });
    expect(await publishedMasterKey(first)).toBe(masterKey);
    expect(await new CrossSigning(second).status()).toEqual(COMPLETE);
  });

  it("needs a way to prove who its user is, before it makes anything", async () => {
    await using device = await Device.of(await newUser(homeserver, "alice"));
    await new CrossSigning(device).bootstrap();
    await expect(new CrossSigning(device).bootstrap({ reset: true })).rejects.toMatchObject({ code: "CONFIG" });
    expect(await new CrossSigning(device).status()).toEqual(COMPLETE);
  });
});

describe("an identity that another device has replaced", () => {
  it("is noticed by what the engine learns of it, also after a restart", async () => {
    const user = await newUser(homeserver, "alice");
    await using first = await Device.of(user);
    await using second = await Device.of(user);
    await new CrossSigning(first).bootstrap();
    expect(await new CrossSigning(first).replacement()).toBeUndefined();
    await new CrossSigning(second).bootstrap({ reset: true, password: user.password });
    await first.restart();
    const crossSigning = new CrossSigning(first);
    expect(await crossSigning.replacement()).toBeUndefined();
    expect(await crossSigning.status()).toMatchObject({ deviceSigned: false });
    expect(await crossSigning.replacement()).toBe(await publishedMasterKey(first));
    expect(await new CrossSigning(second).replacement()).toBeUndefined();
    await crossSigning.bootstrap({ reset: true, password: user.password });
    expect(await crossSigning.replacement()).toBeUndefined();
  });
});
