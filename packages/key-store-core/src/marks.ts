import type { HighWaterMark } from "./driver.ts";
import { isKeyStoreError, KeyStoreError, messageOf } from "./errors.ts";
import type { DeviceRef } from "./key-store.ts";
import type { CompleteOptions } from "./options.ts";
import { Mutex, within } from "./timing.ts";
import type { RollbackWitness } from "./witness.ts";

/** How long a commit may have been acknowledged before the witness hears of it, in milliseconds. */
const TELL_AFTER_MS = 1_000;

/** What is known of one device. */
class Known {
  /** `undefined` until the device is opened, and when it was forgotten. */
  mark: HighWaterMark | undefined;
  /** Set while the witness has yet to hear of the mark. */
  timer: NodeJS.Timeout | undefined;
  /** What the witness is told, it is told in order. */
  readonly telling = new Mutex();
}

/** What the database has acknowledged of each device that was opened here, and what a witness remembers of others. */
export class HighWaterMarks {
  readonly #known = new Map<string, Known>();
  readonly #options: CompleteOptions;
  readonly #storeId: () => string | undefined;

  constructor(options: CompleteOptions, storeId: () => string | undefined) {
    this.#options = options;
    this.#storeId = storeId;
  }

  /** The latest that is known of a device, here or by the witness. Rejects where the witness cannot be asked. */
  async of(device: DeviceRef): Promise<HighWaterMark | undefined> {
    const asked = this.#ask((witness, storeId) => witness.recall(storeId, device));
    const remembered = await asked.catch((cause) => {
      if (isKeyStoreError(cause)) throw cause;
      const message = `the witness of rollbacks could not be asked: ${messageOf(cause)}`;
      throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message, { cause });
    });
    return latest(this.#known.get(nameOf(device))?.mark, remembered);
  }

  /** A device was opened. With `anew`, it is now so whatever was known of it before. */
  opened(device: DeviceRef, mark: HighWaterMark, anew: boolean): Promise<void> {
    const known = this.#of(device);
    known.mark = anew ? mark : latest(known.mark, mark);
    return this.#tell(device, anew);
  }

  acknowledged(device: DeviceRef, mark: HighWaterMark): void {
    const known = this.#of(device);
    if (known.mark === undefined) return;
    // An older opening of the device may hear of its last commit after a younger one has begun.
    known.mark = latest(known.mark, mark);
    if (this.#options.witness === undefined) return;
    known.timer ??= setTimeout(() => void this.#tell(device), TELL_AFTER_MS).unref();
  }

  forget(device: DeviceRef): Promise<void> {
    this.#of(device).mark = undefined;
    return this.#tell(device, true);
  }

  /** Resolves when the witness has heard of what was acknowledged, or has failed to. */
  async flush(device: DeviceRef): Promise<void> {
    if (this.#of(device).timer !== undefined) await this.#tell(device);
  }

  /** A witness that cannot be told is said, and stops nobody: the commits are durable without it. */
  async #tell(device: DeviceRef, anew = false): Promise<void> {
    const known = this.#of(device);
    clearTimeout(known.timer);
    known.timer = undefined;
    const tell = () =>
      this.#ask(async (witness, storeId) => {
        // Another process may have the device by now, and have told of later commits than this one's.
        const told = anew ? undefined : await witness.recall(storeId, device);
        const mark = latest(told, known.mark);
        if (anew || mark !== told) await witness.remember(storeId, device, mark);
      });
    try {
      await known.telling.run(tell);
    } catch (error) {
      this.#options.logger.warn(`The witness of rollbacks could not be told: ${messageOf(error)}`);
    }
  }

  /** Asks the witness within the time limit of an operation; `undefined` where there is none. */
  async #ask<T>(question: (witness: RollbackWitness, storeId: string) => Promise<T>): Promise<T | undefined> {
    const { witness, operationTimeoutMs } = this.#options;
    const storeId = this.#storeId();
    if (witness === undefined || storeId === undefined) return undefined;
    const asked = async () => question(witness, storeId);
    return within(operationTimeoutMs, "the witness of rollbacks", asked());
  }

  #of(device: DeviceRef): Known {
    const name = nameOf(device);
    const known = this.#known.get(name) ?? new Known();
    this.#known.set(name, known);
    return known;
  }
}

/** Unambiguous: neither id holds a U+0000. */
function nameOf({ userId, deviceId }: DeviceRef): string {
  return `${userId}\0${deviceId}`;
}

/** The later of two marks, in each of its numbers; the first one itself where the second adds nothing to it. */
function latest(one: HighWaterMark | undefined, other: HighWaterMark | undefined): HighWaterMark | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  if (one.epoch >= other.epoch && one.revision >= other.revision) return one;
  const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);
  return { epoch: later(one.epoch, other.epoch), revision: later(one.revision, other.revision) };
}
