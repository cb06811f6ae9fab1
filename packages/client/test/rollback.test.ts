import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileWitness } from "@holdfast/key-store-core";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { World } from "./support/world.ts";

let world: World;

beforeEach(async () => {
  world = await World.start();
});

afterEach(() => world[Symbol.asyncDispose]());

describe("a key store that was put back to an older state", () => {
  it("is refused, and opened only where that is said; then no Megolm session goes on where it was", async () => {
    const [alice, bob] = [await world.user("alice"), await world.user("bob")];
    const reader = await world.connected(bob);
    const file = join(world.directory, "keys.sqlite");
    const witness = fileWitness(join(world.directory, "witness"));
    const keyStores = [{ name: "SQLite", create: async () => new SqliteKeyStore({ path: file, witness }) }];
    const first = await world.connected(alice, { keyStores });
    const roomId = await world.room([alice, bob]);
    await first.say(roomId, "one");
    await first.client.close();
    await copyFile(file, `${file}.backup`);

    const second = await world.connected(alice, { keyStores });
    await second.say(roomId, "two");
    await reader.until(() => reader.messages.length === 2);
    await second.client.close();
    await copyFile(`${file}.backup`, file);
    for (const suffix of ["-wal", "-shm"]) await rm(`${file}${suffix}`, { force: true });

    const refused = world.client(alice, { keyStores });
    await expect(refused.client.connect()).rejects.toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK" });

    const accepted = await world.connected(alice, { keyStores, acceptRollback: true });
    await accepted.say(roomId, "three");
    await reader.until(() => reader.messages.length === 3);
    expect(reader.bodies).toEqual(["one", "two", "three"]);
    const sessions = reader.messages.map(({ raw }) => raw.content.session_id);
    expect(sessions[1]).toBe(sessions[0]);
    expect(sessions[2]).not.toBe(sessions[0]);
    expect(reader.undecryptable).toEqual([]);
  });
});
