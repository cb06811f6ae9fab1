import type { CollectionChanges, DeviceDriver, DeviceMark, DeviceState, Guard, HighWaterMark } from "./driver.ts";
import { isKeyStoreError, KeyStoreError, messageOf } from "./errors.ts";
import type { DeviceMove, DeviceRef, LeaseHolder } from "./key-store.ts";
import { refusalOf } from "./refusal.ts";
import { retrying } from "./retry.ts";
import { Backoff, Deadline, within } from "./timing.ts";

/** A device's row as it was when its holder took it, and what writes to it. */
export interface DeviceRowContext {
  readonly device: DeviceRef;
  readonly holder: LeaseHolder;
  readonly epoch: bigint;
  readonly revision: bigint;
  readonly move?: DeviceMove | undefined;
  readonly driver: DeviceDriver;
  readonly commitTimeoutMs: number;
  /** Told of every state that the database has acknowledged. */
  readonly acknowledged: (mark: HighWaterMark) => void;
}

/**
 * A device's row as its holder knows it. Each write is guarded by that, and
 * moves the revision by exactly one, through broken connections. One write at a time.
 */
export class DeviceRow {
  readonly #context: DeviceRowContext;
  readonly #beforeRetry: (failure: KeyStoreError) => void;
  #epoch: bigint;
  #revision: bigint;
  #device: DeviceRef;
  #move: DeviceMove | undefined;

  /** @param beforeRetry told of each failure after which something is tried again */
  constructor(context: DeviceRowContext, beforeRetry: (failure: KeyStoreError) => void) {
    this.#context = context;
    this.#beforeRetry = beforeRetry;
    this.#epoch = context.epoch;
    this.#revision = context.revision;
    this.#device = context.device;
    this.#move = context.move;
  }

  get device(): DeviceRef {
    return this.#device;
  }

  get move(): DeviceMove | undefined {
    return this.#move;
  }

  get epoch(): bigint {
    return this.#epoch;
  }

  get revision(): bigint {
    return this.#revision;
  }

  /** Makes changes to records durable. */
  commit(changes: readonly CollectionChanges[]): Promise<void> {
    return this.#write((guard) => this.#context.driver.commit(guard, changes));
  }

  /** Sets what a move makes of the device, and its name where the mark has one. */
  async mark(mark: DeviceMark): Promise<void> {
    await this.#write((guard) => this.#context.driver.mark(guard, mark));
    const { move, deviceId } = mark;
    this.#move = move;
    if (deviceId !== undefined) this.#device = Object.freeze({ ...this.#device, deviceId });
  }

  async #write(attempt: (guard: Guard) => Promise<boolean>): Promise<void> {
    const { commitTimeoutMs } = this.#context;
    const deadline = new Deadline(commitTimeoutMs);
    // An attempt that hangs on a dead connection must leave time to settle it and to try again.
    const attemptMs = commitTimeoutMs / 3;
    const backoff = new Backoff();
    for (;;) {
      try {
        const limit = Math.min(attemptMs, deadline.remainingMs);
        const applied = await within(limit, "a commit", attempt(this.#guard));
        if (!applied) throw await this.#refusal(deadline);
        this.#advance(this.#epoch, this.#revision + 1n);
        return;
      } catch (error) {
        if (!isKeyStoreError(error, "ERR_KEY_STORE_UNAVAILABLE") || deadline.isOver) throw error;
        this.#beforeRetry(error);
      }
      await backoff.pause(deadline.remainingMs);
      if (await this.#settle(deadline.remainingMs)) return;
    }
  }

  /** After a write whose outcome is unknown: whether it was applied, with any attempt that still runs fenced. */
  async #settle(limitMs: number): Promise<boolean> {
    const { driver, holder } = this.#context;
    let state: DeviceState | undefined;
    try {
      const look = () => driver.settle(holder.id);
      state = await retrying("the look after an uncertain commit", limitMs, look, this.#beforeRetry);
    } catch (error) {
      // However the look fails, the commit may be durable: only this code says so.
      const message = `whether the commit was applied could not be found out: ${messageOf(error)}`;
      throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", message, { cause: error });
    }
    return this.#settled(state);
  }

  #settled(state: DeviceState | undefined): boolean {
    const guard = this.#guard;
    const ours = state?.holder?.id === guard.holderId && state.epoch > guard.epoch;
    if (!ours || (state.revision !== guard.revision && state.revision !== guard.revision + 1n)) {
      throw refusalOf(this.#device, guard, state);
    }
    this.#advance(state.epoch, state.revision);
    return state.revision !== guard.revision;
  }

  #advance(epoch: bigint, revision: bigint): void {
    this.#epoch = epoch;
    this.#revision = revision;
    this.#context.acknowledged({ epoch, revision });
  }

  async #refusal(deadline: Deadline): Promise<KeyStoreError> {
    const look = this.#context.driver.state();
    return refusalOf(this.#device, this.#guard, await within(deadline.remainingMs, "the look after a refusal", look));
  }

  get #guard(): Guard {
    return { holderId: this.#context.holder.id, epoch: this.#epoch, revision: this.#revision };
  }
}
