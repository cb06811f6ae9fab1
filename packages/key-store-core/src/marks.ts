import type { HighWaterMark } from "./driver.ts";
import { messageOf } from "./errors.ts";
import type { DeviceRef } from "./key-store.ts";
import type { Logger } from "./logger.ts";
import { Mutex } from "./timing.ts";
import type { RollbackWitness } from "./witness.ts";

/** How long a commit may have been acknowledged before the witness hears of it, in milliseconds. */
const TELL_AFTER_MS = 1_000;

interface Known {
  readonly device: DeviceRef;
  mark: HighWaterMark;
  /** Set while the witness has yet to hear of the mark. */
  timer: NodeJS.Timeout | undefined;
}

/** What the database has acknowledged of each device that was opened here, and what a witness remembers of others. */
export class HighWaterMarks {
  readonly #known = new Map<string, Known>();
  readonly #witness: RollbackWitness | undefined;
  readonly #storeId: () => string | undefined;
  readonly #logger: Logger;
  readonly #telling = new Mutex();

  constructor(witness: RollbackWitness | undefined, storeId: () => string | undefined, logger: Logger) {
    this.#witness = witness;
    this.#storeId = storeId;
    this.#logger = logger;
  }

  /** The latest that is known of a device, here or by the witness. Rejects where the witness does. */
  async of(device: DeviceRef): Promise<HighWaterMark | undefined> {
    const here = this.#known.get(nameOf(device))?.mark;
    const storeId = this.#storeId();
    if (this.#witness === undefined || storeId === undefined) return here;
    const remembered = await this.#witness.recall(storeId, device);
    if (here === undefined || remembered === undefined) return here ?? remembered;
    const latest = (one: bigint, other: bigint): bigint => (one > other ? one : other);
    return {
      epoch: latest(here.epoch, remembered.epoch),
      revision: latest(here.revision, remembered.revision),
    };
  }

  /** A device was opened, and is now so, whatever was known of it before. */
  async opened(device: DeviceRef, mark: HighWaterMark): Promise<void> {
    this.#known.set(nameOf(device), { device, mark, timer: undefined });
    await this.#tell(device, mark);
  }

  acknowledged(device: DeviceRef, mark: HighWaterMark): void {
    const known = this.#known.get(nameOf(device));
    if (known === undefined) return;
    known.mark = mark;
    if (this.#witness === undefined || known.timer !== undefined) return;
    known.timer = setTimeout(() => void this.flush(known.device), TELL_AFTER_MS).unref();
  }

  async forget(device: DeviceRef): Promise<void> {
    const known = this.#known.get(nameOf(device));
    clearTimeout(known?.timer);
    this.#known.delete(nameOf(device));
    await this.#tell(device, undefined);
  }

  /** Resolves when the witness has heard of what was acknowledged, or has failed to. */
  async flush(device: DeviceRef): Promise<void> {
    const known = this.#known.get(nameOf(device));
    if (known?.timer === undefined) return;
    clearTimeout(known.timer);
    known.timer = undefined;
    await this.#tell(known.device, known.mark);
  }

  /** A witness that cannot be written to is said, and stops nobody: the commits are durable without it. */
  async #tell(device: DeviceRef, mark: HighWaterMark | undefined): Promise<void> {
    const [witness, storeId] = [this.#witness, this.#storeId()];
    if (witness === undefined || storeId === undefined) return;
    try {
      await this.#telling.run(() => witness.remember(storeId, device, mark));
    } catch (error) {
      this.#logger.warn(`The witness of rollbacks could not be told: ${messageOf(error)}`);
    }
  }
}

/** Unambiguous: neither id holds a U+0000. */
function nameOf({ userId, deviceId }: DeviceRef): string {
  return `${userId}\0${deviceId}`;
}
