import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeviceStore, KeyStore } from "@holdfast/key-store-core";
import { MemoryKeyStore, MemoryStorage } from "@holdfast/key-store-memory";
import { SqliteKeyStore } from "@holdfast/key-store-sqlite";
import { initAsync, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { install, mount, uninstall } from "../src/index.ts";
import { FORMAT } from "../src/values/format.ts";
import { decryptMessage, encryptMessage, Homeserver, shareRoomKey, startMachine } from "./support/two-machines.ts";

const ALICE = "@alice:example.org";
const BOB = "@bob:example.org";
const ROOM = "!room:example.org";

type Stores = () => KeyStore;

async function memory(): Promise<Stores> {
  const storage = new MemoryStorage();
  return () => new MemoryKeyStore({ storage });
}

async function sqlite(): Promise<Stores> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-indexeddb-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return () => new SqliteKeyStore({ path: join(directory, "keys.sqlite") });
}

async function openDevice(keyStore: KeyStore, userId: string, deviceId: string): Promise<DeviceStore> {
  if (!(await keyStore.init())) throw new Error("the key store is not ready");
  const store = await keyStore.openDevice({ userId, deviceId });
  if (store === null) throw new Error("the device was not opened");
  return store;
}

beforeAll(async () => {
  install();
  await initAsync();
});
afterAll(() => uninstall());

describe.each([
  ["memory", memory],
  ["SQLite", sqlite],
])("the crypto engine on %s", (_, makeStores) => {
  it("shares a room key between two devices, and has them both after a restart", async () => {
    const stores = await makeStores();
    const server = new Homeserver();
    const first = stores();
    const aliceMount = mount("alice/", await openDevice(first, ALICE, "ALICE"));
    const bobMount = mount("bob/", await openDevice(first, BOB, "BOB"));
    let alice = await startMachine(ALICE, "ALICE", "alice/crypto");
    let bob = await startMachine(BOB, "BOB", "bob/crypto");
    await server.serve(alice);
    await server.serve(bob);

    await shareRoomKey(server, alice, ROOM, new UserId(BOB));
    expect(await server.deliver(bob)).toBe(1);
    const one = await encryptMessage(alice, ROOM, "one");
    expect(await decryptMessage(bob, ROOM, one)).toBe("one");
    const identities = [alice, bob].map((machine) => machine.identityKeys.ed25519.toBase64());
    alice.close();
    bob.close();
    await aliceMount.unmount();
    await bobMount.unmount();
    await first.close();

    // Another process, another prefix: the same devices.
    const second = stores();
    onTestFinished(() => second.close());
    const aliceAgain = mount("again/alice/", await openDevice(second, ALICE, "ALICE"));
    const bobAgain = mount("again/bob/", await openDevice(second, BOB, "BOB"));
    alice = await startMachine(ALICE, "ALICE", "again/alice/crypto");
    bob = await startMachine(BOB, "BOB", "again/bob/crypto");
    expect([alice, bob].map((machine) => machine.identityKeys.ed25519.toBase64())).toEqual(identities);
    expect(await decryptMessage(bob, ROOM, one)).toBe("one");
    expect(await decryptMessage(bob, ROOM, await encryptMessage(alice, ROOM, "two"))).toBe("two");
    await shareRoomKey(server, bob, ROOM, new UserId(ALICE));
    await server.deliver(alice);
    expect(await decryptMessage(alice, ROOM, await encryptMessage(bob, ROOM, "three"))).toBe("three");
    alice.close();
    bob.close();
    await aliceAgain.unmount();
    await bobAgain.unmount();
  });
});

it("what the crypto engine writes is CBOR: it depends on no version of V8", async () => {
  const keyStore = new MemoryKeyStore();
  onTestFinished(() => keyStore.close());
  const store = await openDevice(keyStore, ALICE, "ALICE");
  const mounted = mount("cbor/", store);
  const server = new Homeserver();
  const machine = await startMachine(ALICE, "ALICE", "cbor/crypto");
  await server.serve(machine);
  await shareRoomKey(server, machine, ROOM, new UserId(BOB));
  await encryptMessage(machine, ROOM, "one");
  machine.close();
  await mounted.unmount();

  const { usage } = await keyStore.stats();
  const formats = new Map<string, Set<number | undefined>>();
  for (const { collection } of usage?.collections ?? []) {
    const records = await store.list(collection, {}, { limit: 1000 });
    // The entries of indexes that are not unique are keys alone.
    const values = records.map((record) => record.value).filter((value) => value.length > 0);
    formats.set(collection, new Set(values.map((value) => value[0])));
  }
  expect(formats.size).toBeGreaterThan(5);
  for (const [collection, found] of formats) {
    expect([collection, [...found]]).toEqual([collection, found.size === 0 ? [] : [FORMAT.cbor]]);
  }
});
