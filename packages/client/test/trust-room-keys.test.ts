import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ImportProgress } from "../src/trust/room-keys/import-progress.ts";
import { openRoomKeyFile, sealRoomKeyFile } from "../src/trust/room-keys/room-key-file.ts";
import { RoomKeyTransfer, sealRoomKeys } from "../src/trust/room-keys/room-key-transfer.ts";
import { Device, newUser } from "./trust/device.ts";
import { exportedKeys, fromIndexOne, makeRoomKeys } from "./trust/room-keys.ts";
import { newSdkClient } from "./trust/sdk-client.ts";

let homeserver: DevHomeserver;
beforeAll(async () => {
  homeserver = await startDevHomeserver();
});
afterAll(() => homeserver.close());

describe("a file of exported room keys", () => {
  it("made here is opened by the crypto engine, and the reverse", async () => {
    const text = "[]";
    const ours = await sealRoomKeyFile(text, "a pässphrase", 100_000);
    expect(OlmMachine.decryptExportedRoomKeys(ours, "a pässphrase")).toBe(text);
    const theirs = OlmMachine.encryptExportedRoomKeys(text, "a pässphrase", 1_000);
    expect(await openRoomKeyFile(theirs, "a pässphrase")).toBe(text);
  });

  it("is not opened by another passphrase, nor after a change", async () => {
    const file = await sealRoomKeyFile("[]", "right", 1_000);
    await expect(openRoomKeyFile(file, "wrong")).rejects.toMatchObject({ code: "WRONG_SECRET" });
    const lines = file.split("\n");
    const body = Buffer.from(lines[1] ?? "", "base64");
    body[40] = (body[40] ?? 0) ^ 1;
    const changed = [lines[0], body.toString("base64"), ...lines.slice(2)].join("\n");
    await expect(openRoomKeyFile(changed, "right")).rejects.toMatchObject({ code: "WRONG_SECRET" });
  });

  it.each([
    ["nothing", ""],
    ["no last line", "-----BEGIN MEGOLM SESSION DATA-----\nAQ==\n"],
    ["what is not base64", "-----BEGIN MEGOLM SESSION DATA-----\nA?Q\n-----END MEGOLM SESSION DATA-----\n"],
    ["too little", "-----BEGIN MEGOLM SESSION DATA-----\nAQAA\n-----END MEGOLM SESSION DATA-----\n"],
    [
      "another version",
      `-----BEGIN MEGOLM SESSION DATA-----\n${Buffer.alloc(80, 2).toString("base64")}\n-----END MEGOLM SESSION DATA-----\n`,
    ],
    [
      "more rounds than anybody counts",
      `-----BEGIN MEGOLM SESSION DATA-----\n${Buffer.concat([Buffer.of(1), Buffer.alloc(80, 255)]).toString("base64")}\n-----END MEGOLM SESSION DATA-----\n`,
    ],
  ])("is malformed with %s", async (_, file) => {
    await expect(openRoomKeyFile(file, "x")).rejects.toMatchObject({ code: "MALFORMED" });
  });
});

describe("room keys", () => {
  it("go from one device to another by a file, in batches of bounded size", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    const keys = await makeRoomKeys(alice, 220);
    const file = await new RoomKeyTransfer(alice).export("between us");
    expect(file.startsWith("-----BEGIN MEGOLM SESSION DATA-----\n")).toBe(true);
    const seen: ImportProgress[] = [];
    const before = bob.encryption.deviceStore.revision;
    const options = { onProgress: (progress: ImportProgress) => void seen.push(progress) };
    const result = await new RoomKeyTransfer(bob).import(file, "between us", options);
    expect(result).toEqual({ done: 220, total: 220, imported: 220, failed: 0 });
    expect(seen.map(({ done }) => done)).toEqual([200, 220]);
    expect(bob.encryption.deviceStore.revision).toBe(before + 2n);
    expect(await exportedKeys(bob)).toEqual(keys);
    const again = await new RoomKeyTransfer(bob).import(file, "between us");
    expect(again).toEqual({ done: 220, total: 220, imported: 0, failed: 0 });
  });

  it("are exported of chosen rooms only", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    const keys = await makeRoomKeys(alice, 3);
    const room = keys[1]?.roomId ?? "";
    const file = await new RoomKeyTransfer(alice).export("x", { rooms: [room] });
    const exported = JSON.parse(await openRoomKeyFile(file, "x")) as { readonly room_id: string }[];
    expect(exported.map((key) => key.room_id)).toEqual([room]);
  });

  it("that are malformed do not keep the others out", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    const keys = await makeRoomKeys(alice, 5);
    const entries = JSON.parse(await openRoomKeyFile(await new RoomKeyTransfer(alice).export("x"), "x")) as object[];
    const strange = [7, {}, { ...entries[0], session_key: "!" }, { ...entries[1], algorithm: 7 }];
    const file = await sealRoomKeyFile(JSON.stringify([...strange, ...entries]), "x", 1_000);
    const result = await new RoomKeyTransfer(bob).import(file, "x");
    expect(result).toEqual({ done: 9, total: 9, imported: 5, failed: 4 });
    expect(await exportedKeys(bob)).toEqual(keys);
  });

  it.each([
    ["before", false],
    ["after", true],
  ])("stay as far back as they reach, where a file has a lesser copy %s them", async (_, after) => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    await makeRoomKeys(alice, 2);
    const text = await openRoomKeyFile(await new RoomKeyTransfer(alice).export("x"), "x");
    const whole = JSON.parse(text) as { readonly session_key: string }[];
    const lesser = whole.map((key) => ({ ...key, session_key: fromIndexOne(key.session_key) }));
    const both = after ? [...whole, ...lesser] : [...lesser, ...whole];
    const result = await new RoomKeyTransfer(bob).import(await sealRoomKeyFile(JSON.stringify(both), "x", 1_000), "x");
    expect(result).toEqual({ done: 4, total: 4, imported: after ? 2 : 4, failed: 0 });
    const got = JSON.parse(await bob.encryption.run((machine) => machine.exportRoomKeys(() => true))) as typeof whole;
    const keys = (list: typeof whole): string[] => list.map(({ session_key }) => session_key).sort();
    expect(keys(got)).toEqual(keys(whole));
  });

  it("are not imported after the call was aborted, and what failed in the store is no malformed key", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    await makeRoomKeys(alice, 201);
    const file = await new RoomKeyTransfer(alice).export("x");
    const abort = new AbortController();
    const stopped = new RoomKeyTransfer(bob).import(file, "x", {
      signal: abort.signal,
      onProgress: () => abort.abort(new Error("enough")),
    });
    await expect(stopped).rejects.toThrow("enough");
    expect(await exportedKeys(bob)).toHaveLength(200);
    await bob.encryption.close();
    await expect(new RoomKeyTransfer(bob).import(file, "x")).rejects.toMatchObject({ code: "ERR_KEY_STORE_CLOSED" });
  });

  it.each([
    ["an empty passphrase", "", {}],
    ["few rounds", "x", { rounds: 99_999 }],
    ["half a round", "x", { rounds: 100_000.5 }],
  ])("are not exported with %s", async (_, passphrase, options) => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await expect(new RoomKeyTransfer(alice).export(passphrase, options)).rejects.toMatchObject({ code: "CONFIG" });
    await expect(sealRoomKeys("[]", passphrase, options)).rejects.toMatchObject({ code: "CONFIG" });
  });

  it("of a program without a client are sealed for one that has it", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    const keys = await makeRoomKeys(alice, 3);
    const exported = await alice.encryption.run((machine) => machine.exportRoomKeys(() => true));
    const file = await sealRoomKeys(exported, "moving in");
    const result = await new RoomKeyTransfer(bob).import(file, "moving in");
    expect(result).toEqual({ done: 3, total: 3, imported: 3, failed: 0 });
    expect(await exportedKeys(bob)).toEqual(keys);
  });

  it("exported here are read by matrix-js-sdk, and the reverse", async () => {
    await using alice = await Device.of(await newUser(homeserver, "alice"));
    using sdk = await newSdkClient(await newUser(homeserver, "sdk"));
    await using bob = await Device.of(await newUser(homeserver, "bob"));
    const keys = await makeRoomKeys(alice, 3);
    const file = await new RoomKeyTransfer(alice).export("to the SDK");
    // The SDK leaves the passphrase to the application, which has it of the crypto engine.
    await sdk.crypto.importRoomKeysAsJson(OlmMachine.decryptExportedRoomKeys(file, "to the SDK"));
    const back = await sealRoomKeys(await sdk.crypto.exportRoomKeysAsJson(), "and back");
    expect(await new RoomKeyTransfer(bob).import(back, "and back")).toMatchObject({ imported: 3, failed: 0 });
    expect(await exportedKeys(bob)).toEqual(keys);
  });
});
