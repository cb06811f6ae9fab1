import { type DeviceRef, type DeviceStore, toText } from "@holdfast/key-store-core";
import { MemoryKeyStore } from "@holdfast/key-store-memory";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openEngine } from "../src/engine/open-olm-machine.ts";
import type { Json } from "../src/http/homeserver-api.ts";
import { openCollections } from "../src/records/open-collections.ts";
import { createSeal } from "../src/records/seal.ts";
import { Xaes256Gcm } from "../src/records/xaes-256-gcm.ts";

const DEVICE: DeviceRef = { userId: "@bot:example.org", deviceId: "BOT" };
const KEY = new Uint8Array(32).fill(7);
const CORRUPT = expect.objectContaining({ code: "ERR_KEY_STORE_CORRUPT" });

const bytes = fc.uint8Array({ maxLength: 40 });
const name = fc.string({ maxLength: 12, unit: "binary" });
const place = fc.record({ userId: name, deviceId: name, collection: name, key: bytes });
const json = fc.jsonValue().map((value) => JSON.stringify(value));

describe("XAES-256-GCM", () => {
  // The vectors of c2sp.org/XAES-256-GCM: one for either value of the bit that the doubling overflows with.
  it.each([
    [1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"],
    [3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"],
  ])("agrees with its specification for the key of bytes %i", (byte, associated, expected) => {
    const cipher = new Xaes256Gcm(new Uint8Array(32).fill(byte));
    const [nonce, plaintext] = [Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWX"), Buffer.from("XAES-256-GCM")];
    const sealed = cipher.seal(nonce, plaintext, Buffer.from(associated));
    expect(Buffer.from(sealed).toString("hex")).toBe(expected);
    expect(Buffer.from(cipher.open(nonce, sealed, Buffer.from(associated)) ?? "").toString()).toBe("XAES-256-GCM");
  });
});

describe("a sealed record", () => {
  it("opens to what was sealed, and shows nothing of it", () => {
    fc.assert(
      fc.property(place, json, ({ userId, deviceId, collection, key }, value) => {
        const sealed = createSeal({ userId, deviceId }, KEY).seal(collection, key, value);
        expect(sealed.byteLength).toBe(1 + 24 + Buffer.byteLength(value) + 16);
        expect(sealed[0]).toBe(1);
        expect(createSeal({ userId, deviceId }, KEY).open(collection, key, sealed)).toBe(value);
      }),
    );
  });

  it("is another each time it is sealed", () => {
    const seal = createSeal(DEVICE, KEY);
    const sealed = Array.from({ length: 100 }, () => toText(seal.seal("a", KEY, "{}")));
    expect(new Set(sealed).size).toBe(100);
  });

  it("is refused when any bit of it is another, and when it is longer or shorter", () => {
    fc.assert(
      fc.property(json, fc.nat(), (value, at) => {
        const seal = createSeal(DEVICE, KEY);
        const sealed = Uint8Array.from(seal.seal("inbox", KEY, value));
        const bit = at % (sealed.byteLength * 8);
        const flipped = sealed.map((byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
        expect(() => seal.open("inbox", KEY, flipped)).toThrow(CORRUPT);
        expect(() => seal.open("inbox", KEY, sealed.subarray(0, at % sealed.byteLength))).toThrow(CORRUPT);
        expect(() => seal.open("inbox", KEY, new Uint8Array([...sealed, 0]))).toThrow(CORRUPT);
      }),
    );
  });

  it("is refused anywhere else than where it was sealed", () => {
    fc.assert(
      fc.property(place, place, (here, there) => {
        fc.pre(JSON.stringify(here) !== JSON.stringify(there));
        const sealed = createSeal(here, KEY).seal(here.collection, here.key, "1");
        expect(() => createSeal(there, KEY).open(there.collection, there.key, sealed)).toThrow(CORRUPT);
      }),
    );
  });

  it("is refused where one byte moves from one part of its place to the next", () => {
    const sealed = createSeal({ userId: "@a", deviceId: "bc" }, KEY).seal("de", Buffer.from("fg"), "1");
    const open = (userId: string, deviceId: string, collection: string, key: string) =>
      createSeal({ userId, deviceId }, KEY).open(collection, Buffer.from(key), sealed);
    expect(open("@a", "bc", "de", "fg")).toBe("1");
    for (const [u, d, c, k] of [
      ["@ab", "c", "de", "fg"],
      ["@a", "bcd", "e", "fg"],
      ["@a", "bc", "def", "g"],
    ] as const) {
      expect(() => open(u, d, c, k)).toThrow(CORRUPT);
    }
  });

  it("is refused under another key, and without one; plaintext is refused under a key", () => {
    const [sealing, plain] = [createSeal(DEVICE, KEY), createSeal(DEVICE, undefined)];
    const sealed = sealing.seal("a", KEY, "1");
    expect(() => createSeal(DEVICE, new Uint8Array(32).fill(8)).open("a", KEY, sealed)).toThrow(CORRUPT);
    expect(() => plain.open("a", KEY, sealed)).toThrow(/it is sealed, and this store has no key/);
    expect(() => sealing.open("a", KEY, plain.seal("a", KEY, "1"))).toThrow(/it is in plaintext, and this store has/);
    for (const unknown of [[], [2], [0x7b, 0x7d]]) {
      expect(() => sealing.open("a", KEY, Uint8Array.from(unknown))).toThrow(CORRUPT);
      expect(() => plain.open("a", KEY, Uint8Array.from(unknown))).toThrow(CORRUPT);
    }
  });
});

describe("a key made of names", () => {
  it("is the same for the same names, and another for all others, in another collection, under another key", () => {
    fc.assert(
      fc.property(fc.array(name), fc.array(name), (a, b) => {
        const seal = createSeal(DEVICE, KEY);
        const key = toText(seal.keyOf("c", a));
        expect(key).toHaveLength(16);
        expect(toText(seal.keyOf("c", b)) === key).toBe(JSON.stringify(a) === JSON.stringify(b));
        expect(toText(seal.keyOf("d", a))).not.toBe(key);
        expect(toText(createSeal(DEVICE, undefined).keyOf("c", a))).not.toBe(key);
      }),
    );
  });
});

async function withStore(work: (store: DeviceStore) => Promise<void>): Promise<void> {
  await using keyStore = new MemoryKeyStore();
  await keyStore.init();
  const store = await keyStore.openDevice(DEVICE);
  if (store === null) throw new Error("a memory store is always there");
  await work(store);
}

describe.each([
  ["with a key", KEY],
  ["without a key", undefined],
])("a collection in a store %s", (_, storeKey) => {
  it("reads what was put, in order, inside a batch and after it", () =>
    withStore(async (store) => {
      const letters = openCollections(store, storeKey)<{ letter: string }>("letters");
      expect(letters.name).toBe("client/letters");
      const key = (index: number) => Uint8Array.of(index);
      expect(await letters.get(key(1))).toBeUndefined();
      await store.batch(async () => {
        await store.commit([1, 2, 3].map((index) => letters.put(key(index), { letter: "abc"[index - 1] ?? "" })));
        expect(await letters.get(key(2))).toEqual({ letter: "b" });
      });
      await store.commit([letters.delete(key(2))]);
      expect(await letters.list({}, { limit: 9, reverse: true })).toEqual([
        { key: key(3), value: { letter: "c" } },
        { key: key(1), value: { letter: "a" } },
      ]);
      expect(await letters.list({ gte: key(3) }, { limit: 9 })).toEqual([{ key: key(3), value: { letter: "c" } }]);
      expect(await letters.count()).toBe(2);
      await store.commit([letters.deleteRange({ lt: key(3) })]);
      expect([await letters.count(), await letters.count({ gte: key(3) })]).toEqual([1, 1]);
    }));

  it("keeps every value that JSON has", () =>
    withStore(async (store) => {
      const values = openCollections(store, storeKey)<Json>("values");
      await fc.assert(
        fc.asyncProperty(fc.jsonValue(), async (value) => {
          const { value: bytes } = values.put(KEY, value as Json) as { value: Uint8Array };
          await store.commit([{ type: "put", collection: values.name, key: KEY, value: bytes }]);
          expect(await values.get(KEY)).toEqual(JSON.parse(JSON.stringify(value)));
        }),
        { numRuns: 50 },
      );
    }));

  it("refuses what another collection's record holds", () =>
    withStore(async (store) => {
      const open = openCollections(store, storeKey);
      await store.commit([open("a").put(KEY, "here")]);
      const moved = (await store.get("client/a", KEY)) ?? new Uint8Array();
      await store.commit([{ type: "put", collection: "client/b", key: KEY, value: moved }]);
      expect(await open("a").get(KEY)).toBe("here");
      if (storeKey === undefined) expect(await open("b").get(KEY)).toBe("here");
      else await expect(open("b").get(KEY)).rejects.toThrow(CORRUPT);
    }));
});

describe("the records beside an engine", () => {
  it("are sealed under the key of the engine's state, and part of its commits", async () => {
    await using keyStore = new MemoryKeyStore();
    await keyStore.init();
    const options = { keyStore, ...DEVICE, passphrase: "correct horse" };
    const first = await openEngine(options);
    const notes = first.collection<string>("notes");
    await first.engine.run(async () => first.engine.deviceStore.commit([notes.put(KEY, "remember")]));
    await first.engine.close();
    const second = await openEngine({ ...options, create: "never" });
    expect(await second.collection<string>("notes").get(KEY)).toBe("remember");
    const stored = Buffer.from((await second.engine.deviceStore.get("client/notes", KEY)) ?? "");
    expect([stored[0], stored.includes("remember")]).toEqual([1, false]);
    await second.engine.close();
  });
});
