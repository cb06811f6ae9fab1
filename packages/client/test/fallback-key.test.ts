import { DeviceLists } from "@matrix-org/matrix-sdk-crypto-wasm";
import { expect, it, vi } from "vitest";
import type { JsonObject } from "../src/http/homeserver-api.ts";
import { register, SendingClient } from "./support/sending-client.ts";
import { World } from "./support/world.ts";

it("a fallback key that is made while other keys are uploaded is uploaded too", async () => {
  await using world = await World.start();
  const bob = await world.user("bob");
  const login = await register(world.homeserver.baseUrl, "alice");
  const client = await SendingClient.open(login);
  const uploads = (): JsonObject[] =>
    world.homeserver.journal
      .entries({ path: "/keys/upload", userId: login.userId })
      .map(({ call }) => call.body as JsonObject);
  const fallbackKeys = () => uploads().flatMap((body) => Object.keys((body.fallback_keys as object) ?? {}));
  expect(fallbackKeys()).toHaveLength(1);

  await bob.call("POST", "/keys/claim", {
    one_time_keys: { [login.userId]: { [login.deviceId]: "signed_curve25519" } },
  });
  const before = uploads().length;
  const off = world.use(async ({ route, device }, next) => {
    if (device?.userId !== login.userId || !route.endsWith("/keys/upload")) return next();
    off();
    const now = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => now() + 8 * 86_400_000);
    // What a sync tells of keys.
    await client.encryption?.run((machine) =>
      machine.receiveSyncChangesMsc4186("[]", new DeviceLists(), new Map(), new Set(["signed_curve25519"])),
    );
    return next();
  });
  try {
    await client.sync();
    await client.encryption?.flush();
    expect(new Set(fallbackKeys()).size).toBe(2);
    expect(
      uploads()
        .slice(before + 1)
        .map((body) => body.one_time_keys),
    ).toEqual([undefined]);
  } finally {
    vi.restoreAllMocks();
    await client.close();
  }
});
