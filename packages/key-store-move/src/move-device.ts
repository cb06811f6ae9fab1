import { randomUUID } from "node:crypto";
import {
  checkDevice,
  type DeviceMove,
  type DeviceRef,
  invalid,
  isKeyStoreError,
  type KeyStore,
  KeyStoreError,
  type Logger,
  type MovableDevice,
  type MovePeer,
  movedAway,
  nameOf,
  type OpenDeviceOptions,
  peerName,
  safeLogger,
} from "@holdfast/key-store-core";
import { type Copied, copyRecords } from "./copy-records.ts";

/**
 * What to do where both stores hold the device, each with a content of its
 * own, which is never merged: refuse, or set the one or the other aside under
 * another device id, where it is kept.
 */
export type OnConflict = "fail" | "archive-target" | "archive-source";

/** What is moved, and where. */
export interface MoveDeviceOptions extends Pick<OpenDeviceOptions, "lease" | "waitMs" | "signal"> {
  readonly from: KeyStore;
  readonly to: KeyStore;
  readonly device: DeviceRef;
  /** Default: `"fail"`. Which identity wins is for the caller to know: the one that the homeserver publishes. */
  readonly onConflict?: OnConflict | undefined;
  /**
   * Moves the device to `to` although an earlier move to another store was not
   * finished. Only where that store is gone for good: it may have the device
   * already, and two stores would then have one identity. Default: `false`.
   */
  readonly abandonOther?: boolean | undefined;
  /** Where log lines go. Default: nowhere. */
  readonly logger?: Logger | undefined;
}

/** What came of a move. `archived` is the name under which a device was set aside. */
export type MoveResult =
  | { readonly outcome: "moved"; readonly records: number; readonly bytes: number; readonly archived?: DeviceRef }
  /** An earlier call has done it. */
  | { readonly outcome: "already-moved" }
  /** The target's content won, and the source's was set aside. */
  | { readonly outcome: "kept-target"; readonly archived: DeviceRef };

/**
 * Moves a device from one key store to another, so that at every moment at
 * most one of them opens it.
 *
 * The source is marked `moving`, and from then on opens only to finish the
 * move; the records go to an `incoming` copy, which does not open either, a
 * page at a time; the copy is read again and compared by count, size and
 * SHA-256; it is made active, and the source is marked `moved`, to be refused
 * ever after. A process may be killed at any point: the same call, made again,
 * goes on where the last one stopped. The source keeps its records until
 * `deleteDevice`.
 *
 * @throws `ERR_KEY_STORE_CONFLICT` where the target holds the device with another content, and nothing was changed;
 * `ERR_KEY_STORE_MOVED` and `ERR_KEY_STORE_MOVING` where another store has the device or is to have it;
 * `ERR_KEY_STORE_UNAVAILABLE` where a store is not ready; `ERR_KEY_STORE_DEVICE_NOT_FOUND`, `ERR_KEY_STORE_LEASE_HELD`,
 * `ERR_KEY_STORE_CORRUPT`, `ERR_KEY_STORE_INVALID_ARGUMENT`, …
 */
export async function moveDevice(options: MoveDeviceOptions): Promise<MoveResult> {
  const { from, to, lease, waitMs, signal } = options;
  const device = checkDevice(options.device);
  const peers = { from: peerOf(from), to: peerOf(to) };
  if (peers.from.storeId === peers.to.storeId) invalid("a device is moved to another store, and these are the same");
  const move = new Move(device, peers, options);
  const source = await opened(from, device, { lease, waitMs, signal });
  if (source === undefined) {
    throw new KeyStoreError("ERR_KEY_STORE_DEVICE_NOT_FOUND", `${peerName(peers.from)} has no ${nameOf(device)}`);
  }
  try {
    return await move.run(source);
  } finally {
    await source.close();
  }
}

class Move {
  readonly #device: DeviceRef;
  readonly #peers: { readonly from: MovePeer; readonly to: MovePeer };
  readonly #options: MoveDeviceOptions;
  readonly #logger: Logger;

  constructor(
    device: DeviceRef,
    peers: { readonly from: MovePeer; readonly to: MovePeer },
    options: MoveDeviceOptions,
  ) {
    const { onConflict = "fail", logger } = options;
    if (onConflict !== "fail" && onConflict !== "archive-target" && onConflict !== "archive-source") {
      invalid('onConflict is "fail", "archive-target" or "archive-source"');
    }
    this.#device = device;
    this.#peers = peers;
    this.#options = { ...options, onConflict };
    this.#logger = safeLogger(logger);
  }

  async run(source: MovableDevice): Promise<MoveResult> {
    const { to } = this.#peers;
    const begun = source.move;
    const isOurs = begun?.peer.storeId === to.storeId;
    if (begun?.status === "moved" && isOurs) return { outcome: "already-moved" };
    if (begun?.status === "moved" || begun?.status === "incoming") throw movedAway(this.#device, begun);
    const isBegun = begun?.status === "moving";
    if (isBegun && !isOurs && this.#options.abandonOther !== true) throw movedAway(this.#device, begun);
    const id = isBegun && isOurs ? begun.id : randomUUID();
    let archived: DeviceRef | undefined;
    let target = await this.#target();
    try {
      const found = target && (await this.#judge(target, id));
      if (found === "conflict" && this.#options.onConflict === "archive-source") {
        return { outcome: "kept-target", archived: await this.#archive(source) };
      }
      if (found === "conflict" && this.#options.onConflict === "fail") throw this.#conflict();
      if (target !== undefined && (found === "conflict" || found === "stale")) {
        archived = await this.#archive(target);
        await target.close();
        target = undefined;
      }
      if (source.move?.id !== id) await source.mark({ status: "moving", id, peer: to });
      const copied =
        found === "complete" ? undefined : await this.#copyInto(target, source, id, (made) => (target = made));
      await source.mark({ status: "moved", id, peer: to });
      const { records, bytes } = copied ?? (await totalOf(source));
      this.#logger.info(`Moved ${nameOf(this.#device)} to ${peerName(to)}: ${records} records, ${bytes} bytes`);
      return { outcome: "moved", records, bytes, ...(archived && { archived }) };
    } finally {
      await target?.close();
    }
  }

  /** The target's device; `undefined` where there is none. */
  #target(created?: DeviceMove): Promise<MovableDevice | undefined> {
    const { to, lease, waitMs, signal } = this.#options;
    return opened(to, this.#device, { lease, waitMs, signal, created });
  }

  /** What the target's device is to this move. */
  async #judge(target: MovableDevice, id: string): Promise<"complete" | "begun" | "empty" | "stale" | "conflict"> {
    const { move } = target;
    if (move?.status === "moving") throw movedAway(this.#device, move);
    // It was moved on to another store: nobody opens it any more, and what comes here is younger.
    if (move?.status === "moved") return "stale";
    if (move?.id === id) return move.status === "active" ? "complete" : "begun";
    // A part of a copy is nobody's content: this source has the whole, or a third store has it.
    if (move?.status === "incoming") {
      if (move.peer.storeId === this.#peers.from.storeId) return "stale";
      throw movedAway(this.#device, move);
    }
    const isEmpty = target.revision === 0n && (await target.collections()).length === 0;
    return isEmpty ? "empty" : "conflict";
  }

  async #copyInto(
    found: MovableDevice | undefined,
    source: MovableDevice,
    id: string,
    made: (target: MovableDevice) => void,
  ): Promise<Copied> {
    const { from } = this.#peers;
    const incoming: DeviceMove = { status: "incoming", id, peer: from };
    const target = found ?? (await this.#target(incoming));
    if (target === undefined) throw this.#conflict();
    made(target);
    if (target.move?.id !== id) {
      // Somebody may have been faster than this call, and made the device.
      if ((await this.#judge(target, id)) !== "empty") throw this.#conflict();
      await target.mark(incoming);
    }
    const { signal } = this.#options;
    this.#logger.info(`Moving ${nameOf(this.#device)} from ${peerName(from)} to ${peerName(this.#peers.to)}`);
    const copied = await copyRecords(source, target, signal);
    // The last look at the source: it is refused if anybody has opened it since the copy began.
    await source.mark(source.move);
    await target.mark({ status: "active", id, peer: from });
    return copied;
  }

  /** Sets a device aside, and answers with its name there. */
  async #archive(device: MovableDevice): Promise<DeviceRef> {
    const { userId, deviceId } = this.#device;
    const archived = { userId, deviceId: archiveName(deviceId) };
    // What opens only to finish this move must not be kept from opening for good.
    await device.mark(device.move?.status === "moving" ? undefined : device.move, archived.deviceId);
    this.#logger.warn(`Set ${nameOf(this.#device)} aside as ${nameOf(archived)}: its records are kept`);
    return archived;
  }

  #conflict(): KeyStoreError {
    const { from, to } = this.#peers;
    const message = `${peerName(from)} and ${peerName(to)} both hold ${nameOf(this.#device)}, with contents of their own, which are never merged: keep the one whose identity the homeserver publishes, and archive the other by the option onConflict`;
    return new KeyStoreError("ERR_KEY_STORE_CONFLICT", message, { peer: to });
  }
}

/** A device opened for a move; `undefined` where the store has none, and none is made. */
async function opened(
  store: KeyStore,
  device: DeviceRef,
  options: Parameters<KeyStore["openForMove"]>[1],
): Promise<MovableDevice | undefined> {
  try {
    const found = await store.openForMove(device, options);
    if (found === null) throw notReady(store);
    return found;
  } catch (error) {
    if (isKeyStoreError(error, "ERR_KEY_STORE_DEVICE_NOT_FOUND")) return undefined;
    throw error;
  }
}

function peerOf(store: KeyStore): MovePeer {
  const { kind, storeId } = store;
  if (storeId === undefined) throw notReady(store);
  return Object.freeze({ kind, storeId });
}

function notReady({ name, status }: KeyStore): KeyStoreError {
  const why = status.state === "unavailable" ? status.reason : `it is ${status.state}`;
  return new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", `the ${name} key store is not ready to move a device: ${why}`);
}

async function totalOf(device: MovableDevice): Promise<{ readonly records: number; readonly bytes: number }> {
  const total = { records: 0, bytes: 0 };
  for (const { records, bytes } of await device.collections()) {
    total.records += records;
    total.bytes += bytes;
  }
  return total;
}

/** The longest device id there may be, in bytes of UTF-8. */
const MAX_ID_BYTES = 255;

/** A device id that no device has, and that tells an operator what it is. */
function archiveName(deviceId: string): string {
  const suffix = ` archived ${new Date().toISOString()} ${randomUUID().slice(0, 8)}`;
  let name = deviceId;
  while (Buffer.byteLength(name + suffix) > MAX_ID_BYTES) name = Array.from(name).slice(0, -1).join("");
  return name + suffix;
}
