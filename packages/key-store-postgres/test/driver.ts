import { randomUUID } from "node:crypto";
import type { AcquireOutcome, CollectionChanges, Guard, LeaseHolder } from "@holdfast/key-store-core";
import { PostgresDriver } from "../src/driver.ts";
import { type PostgresKeyStoreOptions, postgresPlan } from "../src/options.ts";

export const DEVICE = { userId: "@bot:example.org", deviceId: "JLAFKJWSCS" };

/** A driver that is connected. */
export async function connected(options: PostgresKeyStoreOptions): Promise<PostgresDriver> {
  const driver = new PostgresDriver(postgresPlan(options));
  await driver.connect(new AbortController().signal);
  return driver;
}

export function newHolder(label = "test"): LeaseHolder {
  return { id: randomUUID(), host: "host", pid: 4711, label };
}

type Acquired = Extract<AcquireOutcome, { outcome: "acquired" }>;

/** Takes a device, which nobody may have. */
export async function acquired(
  driver: PostgresDriver,
  holder: LeaseHolder = newHolder(),
  deviceId = DEVICE.deviceId,
): Promise<Acquired & { guard: Guard }> {
  const request = { device: { ...DEVICE, deviceId }, holder, create: true, force: true };
  const outcome = await driver.acquire(request);
  if (outcome.outcome !== "acquired") throw new Error(`the device is ${outcome.outcome}`);
  const { epoch, revision } = outcome;
  return { ...outcome, guard: { holderId: holder.id, epoch, revision } };
}

/** What a commit does to one collection, with the lists that are left out empty. */
export function changesOf(collection: string, lists: Partial<CollectionChanges> = {}): CollectionChanges {
  return { collection, drop: false, removed: [], deletes: [], puts: [], ...lists };
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
