import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileWitness, type Logger } from "@holdfast/key-store-core";
import { expect, it } from "vitest";
import { bytes, DEVICE, openDevice, put, readyStore } from "./devices.ts";
import { directory, newPath } from "./place.ts";

/** A key store with a device at revision 1, a copy of it, and the store at revision 2. */
async function restored(witness: ReturnType<typeof fileWitness> | undefined): Promise<string> {
  const path = newPath();
  for (const value of ["backed up", "lost"]) {
    const store = await readyStore({ path, witness });
    const device = await openDevice(store);
    await device.commit([put("k", value)]);
    await store.close();
    if (value === "backed up") copyFileSync(path, `${path}.backup`);
  }
  copyFileSync(`${path}.backup`, path);
  return path;
}

it("notices by its witness that an older file was put back while nobody had it open, and writes nothing", async () => {
  const witness = fileWitness(join(directory(), "witness"));
  const path = await restored(witness);
  const warnings: string[] = [];
  const logger: Logger = { debug() {}, info() {}, error() {}, warn: (line) => void warnings.push(line) };
  const store = await readyStore({ path, witness, logger });
  const [before] = await store.listDevices();
  const error = await openDevice(store).catch((reason) => reason);
  expect(error).toMatchObject({ code: "ERR_KEY_STORE_ROLLBACK", retryable: false });
  expect(error.message).toMatch(
    /at revision 1 \(epoch 1\), but revision 2 \(epoch 2\) was acknowledged.*acceptRollback/,
  );
  expect(await store.listDevices()).toEqual([before]);
  expect(warnings).toEqual([]);

  const accepted = await openDevice(store, { acceptRollback: true });
  expect(await accepted.get("sessions", bytes("k"))).toEqual(bytes("backed up"));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^Opened device .* all the same, as acceptRollback says/);
  await accepted.commit([put("k", "anew")]);
  await store.close();
  const next = await openDevice(await readyStore({ path, witness }));
  expect(await next.get("sessions", bytes("k"))).toEqual(bytes("anew"));
});

it("does not notice it without a witness", async () => {
  const path = await restored(undefined);
  const device = await openDevice(await readyStore(path));
  expect(await device.get("sessions", bytes("k"))).toEqual(bytes("backed up"));
});

it("has a witness for each device that is forgotten with it, and refuses one that is damaged", async () => {
  const place = directory();
  const [path, files] = [join(place, "keys.db"), join(place, "witness")];
  const witness = fileWitness(files);
  const store = await readyStore({ path, witness });
  const device = await openDevice(store);
  await device.commit([put("k", "v")]);
  await device.close();
  const [name = ""] = readdirSync(files);
  expect(JSON.parse(readFileSync(join(files, name), "utf8"))).toEqual({ epoch: "1", revision: "1" });
  writeFileSync(join(files, name), "{}");
  await expect(openDevice(store)).rejects.toMatchObject({ code: "ERR_KEY_STORE_CONFIG" });
  expect(await store.deleteDevice(DEVICE)).toBe(true);
  expect(readdirSync(files)).toEqual([]);
  expect((await openDevice(store)).epoch).toBe(1n);
  await store.close();
});
