import { copyFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DevHomeserver } from "@holdfast/dev-homeserver";
import type { HomeserverClient } from "@holdfast/dev-homeserver/party";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { keyStoreFromEnv, MatrixClient, openOlmMachine, sealRoomKeys } from "../src/index.ts";
import { World } from "./support/world.ts";

const GUIDE = fileURLToPath(new URL("../../../docs/identity-conflict.md", import.meta.url));
const PASSWORD = "password of bot";

let world: World;
let homeserver: DevHomeserver;
/** What the old device ran with. */
let env: Record<string, string>;
let owner: HomeserverClient;

beforeEach(async () => {
  world = await World.start();
  ({ homeserver } = world);
  owner = await world.user("bot", "OWNER");
  env = {
    MATRIX_HOMESERVER: homeserver.baseUrl,
    MATRIX_USER_ID: owner.credentials.userId,
    MATRIX_PASSWORD: PASSWORD,
    USE_POSTGRES_STORE: "false",
    KEY_STORE_SQLITE_PATH: join(world.directory, "keys.sqlite"),
    KEY_STORE_KEY: Buffer.alloc(32, 7).toString("base64"),
  };
});

afterEach(() => world[Symbol.asyncDispose]());

/** The environment after the shell lines of the guide's "A new device", with this account's own name and password. */
async function asTheGuideSays(before: Record<string, string>): Promise<Record<string, string>> {
  const guide = await readFile(GUIDE, "utf8");
  const lines = /\n## A new device\n.*?```sh\n(.*?)```/s.exec(guide)?.[1]?.trim().split("\n") ?? [];
  const after = { ...before };
  for (const line of lines) {
    const [command, ...words] = line.split(" ");
    if (command === "unset") for (const name of words) delete after[name];
    else if (command === "export")
      for (const word of words) {
        const [name = "", value = ""] = word.split("=");
        after[name] = value;
      }
    else throw new Error(`the guide has a line that this test does not know: ${line}`);
  }
  return { ...after, MATRIX_USER_ID: owner.credentials.userId, MATRIX_PASSWORD: PASSWORD };
}

/** Runs a client until `work` is done; answers with its device and what `work` answers. */
async function life<T>(of: Record<string, string>, work: (client: MatrixClient) => Promise<T>) {
  await using client = MatrixClient.fromEnv(of);
  await client.connect();
  const outcome = await work(client);
  return { deviceId: client.deviceId, identity: client.identity?.ed25519, outcome };
}

async function devices(): Promise<string[]> {
  const { devices } = await owner.call("GET", "/devices");
  return (devices as { device_id: string }[]).map(({ device_id }) => device_id).sort();
}

describe("a new device, made as the guide says", () => {
  it("is a new one on a store that was put back, and still after a restart, with the room keys of the old one", async () => {
    const path = env.KEY_STORE_SQLITE_PATH ?? "";
    const roomId = await world.room([owner]);
    const first = await life(env, (client) => client.sendText(roomId, "one"));
    await copyFile(path, `${path}.backup`);
    const second = await life(env, (client) => client.sendText(roomId, "two"));
    expect([second.deviceId, second.identity]).toEqual([first.deviceId, first.identity]);
    await copyFile(`${path}.backup`, path);
    for (const suffix of ["-wal", "-shm"]) await rm(`${path}${suffix}`, { force: true });

    const recipe = await asTheGuideSays(env);
    const made = await life(recipe, (client) => client.sendText(roomId, "three"));
    expect(made.deviceId).toBe("BOT2");
    expect(made.identity).not.toBe(first.identity);
    expect(await devices()).toEqual(["BOT2", "OWNER", first.deviceId].sort());

    const store = await keyStoreFromEnv(env);
    const device = { userId: owner.credentials.userId, deviceId: first.deviceId ?? "" };
    const engine = await openOlmMachine({ ...store, ...device, create: "never", acceptRollback: true });
    const keys = await engine.machine.exportRoomKeys(() => true);
    await engine.close();
    await store.keyStore.close();
    const file = await sealRoomKeys(keys, "a long passphrase", { rounds: 100_000 });

    const again = await life(recipe, (client) => client.trust.roomKeys.import(file, "a long passphrase"));
    expect([again.deviceId, again.identity]).toEqual([made.deviceId, made.identity]);
    expect(again.outcome).toMatchObject({ imported: 1, total: 1 });
  });

  it("ends a conflict of identities in a store that holds the old device, for good", async () => {
    const roomId = await world.room([owner]);
    const old = { ...env, MATRIX_DEVICE_ID: "BOT" };
    await life(old, (client) => client.sendText(roomId, "one"));
    const elsewhere = { ...old, KEY_STORE_SQLITE_PATH: join(world.directory, "other.sqlite") };
    const conflict = await life(elsewhere, async (client) => client.mode);
    expect(conflict).toMatchObject({ deviceId: "BOT", outcome: "off" });

    const recipe = await asTheGuideSays(elsewhere);
    for (const body of ["two", "three"]) {
      const { deviceId, outcome } = await life(recipe, async (client) => {
        await client.sendText(roomId, body);
        return client.mode;
      });
      expect([deviceId, outcome]).toEqual(["BOT2", "development"]);
    }
    expect(await devices()).toEqual(["BOT", "BOT2", "OWNER"]);
  });
});
