import assert from "node:assert/strict";
import type { DeviceStore, KeyStoreErrorCode, StoredRecord } from "@holdfast/key-store-core";
import { isKeyStoreError, type KeyStoreError } from "@holdfast/key-store-core";
import { toHex } from "./bytes.ts";

/** Runs `work` and answers with the error of this code that it rejects with; fails where it does anything else. */
export async function rejectsWith(code: KeyStoreErrorCode, work: () => Promise<unknown>): Promise<KeyStoreError> {
  const error = await rejection(work);
  assert.ok(isKeyStoreError(error), `expected a KeyStoreError ${code}, got ${String(error)}`);
  assert.equal(error.code, code, `${error.message}`);
  return error;
}

/** Runs `work` and answers with whatever it rejects with. */
export async function rejection(work: () => Promise<unknown>): Promise<unknown> {
  let pending: Promise<unknown>;
  try {
    pending = work();
  } catch (error) {
    assert.fail(`threw where it should have returned a promise that rejects: ${String(error)}`);
  }
  let answer: unknown;
  try {
    answer = await pending;
  } catch (error) {
    return error;
  }
  assert.fail(`expected a rejection, got an answer: ${String(answer)}`);
}

/** Records as pairs of hexadecimal digits: a message shows what differs. */
export function pairs(records: readonly StoredRecord[]): [key: string, value: string][] {
  return records.map(({ key, value }) => [toHex(key), toHex(value)]);
}

/** The keys of records as hexadecimal digits. */
export function keysOf(records: readonly StoredRecord[]): string[] {
  return records.map(({ key }) => toHex(key));
}

/** Values as hexadecimal digits. */
export function hexes(values: readonly (Uint8Array | undefined)[]): (string | undefined)[] {
  return values.map((value) => toHex(value));
}

/** Fails unless every method rejects with `ERR_KEY_STORE_POISONED`, whose cause is `cause`. */
export async function assertPoisoned(device: DeviceStore, cause: unknown): Promise<void> {
  const key = new Uint8Array([1]);
  const calls: Record<string, () => Promise<unknown>> = {
    get: () => device.get("c", key),
    getMany: () => device.getMany("c", [key]),
    list: () => device.list("c", {}, { limit: 1 }),
    count: () => device.count("c"),
    commit: () => device.commit([{ type: "put", collection: "c", key, value: key }]),
    batch: () => device.batch(async () => assert.fail("the work of a batch ran on a poisoned store")),
  };
  for (const [name, call] of Object.entries(calls)) {
    const error = await rejectsWith("ERR_KEY_STORE_POISONED", call);
    assert.equal(error.cause, cause, `${name}: the cause is the first failure`);
  }
  assert.equal(device.failed.aborted, true, "`failed` is aborted");
  assert.equal(device.failed.reason, cause, "the reason of `failed` is the first failure");
}
