import { setTimeout as pause } from "node:timers/promises";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Mutex } from "async-mutex";
import type { Encryption, RoomKey } from "../../crypto/encryption.ts";
import { type EngineRequest, engineRequest } from "../../crypto/outgoing.ts";
import { isHomeserverError, rateLimit } from "../../http/homeserver-error.ts";
import { objectOf, parseObject } from "../../http/json.ts";
import type { BackupOnDevice } from "./backup-on-device.ts";

/** How fast room keys go to the backup. */
export interface UploadPace {
  /** The longest wait after a new room key, in milliseconds: at random, so that not all devices in a room come at once. Default: 2,000. */
  readonly startMs?: number | undefined;
  /** The pause between two requests, of 100 room keys each at most, in milliseconds. Default: 100. */
  readonly betweenMs?: number | undefined;
  /**
   * The pause before the homeserver is asked for its current backup again where the last one is gone, in milliseconds;
   * it grows to an hour. Default: 30,000.
   */
  readonly lookAgainMs?: number | undefined;
}

/** What uploading works on. */
export interface BackupUploadParts {
  readonly encryption: Encryption;
  readonly onDevice: BackupOnDevice;
  readonly logger: Logger;
  readonly pace: UploadPace;
  /** Called where the homeserver says that the version is not the current one: nothing is uploaded to it any more. */
  readonly onSuperseded: (errcode: string) => Promise<void>;
}

/** A request with room keys that the engine has made, and makes no other before it was answered. */
interface Pending {
  readonly id: string | undefined;
  readonly names: ReadonlySet<string>;
  /** A better copy of one of its room keys has come since. */
  outdated: boolean;
}

const MAX_BACKOFF_MS = 300_000;
const SUPERSEDED = ["M_WRONG_ROOM_KEYS_VERSION", "M_NOT_FOUND"];

/**
 * Takes the room keys that are not in the backup to it.
 *
 * When an upload was answered the engine takes what is stored under the names
 * of its room keys for uploaded (`mark_inbound_group_sessions_as_backed_up` of
 * matrix-sdk-crypto 0.19), a better copy that has come meanwhile too, which the
 * backup would then never have. It can only be told to upload everything again;
 * a homeserver keeps the better of two copies.
 */
export class BackupUpload {
  readonly #parts: BackupUploadParts;
  readonly #oneAtATime = new Mutex();
  readonly #closing = new AbortController();
  #background: Promise<void> | undefined;
  /** Room keys came after the background round had begun. */
  #again = false;
  #pending: Pending | undefined;

  constructor(parts: BackupUploadParts) {
    this.#parts = parts;
  }

  /** Uploads soon, in the background, until nothing is left; failures are tried again, further and further apart. */
  kick(): void {
    this.#again = true;
    if (this.#closing.signal.aborted) return;
    this.#background ??= this.#runBackground().finally(() => {
      this.#background = undefined;
      // It was called when the round was at its end.
      if (this.#again) this.kick();
    });
  }

  /**
   * Uploads now, until nothing is left. Answers with the number of requests that it took.
   *
   * @throws what `Encryption.send` throws; what was uploaded before stays so
   */
  drain(signal: AbortSignal | undefined): Promise<number> {
    const until = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    return this.#oneAtATime.runExclusive(() => this.#drain(until));
  }

  /** Room keys have come from elsewhere than a backup, better than those that were there. To be called inside the `run` that brings them. */
  improved(keys: readonly RoomKey[]): void {
    const pending = this.#pending;
    if (pending !== undefined && keys.some((key) => pending.names.has(nameOf(key)))) pending.outdated = true;
  }

  /** Ends what runs in the background, and waits for it. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#background;
  }

  async #drain(signal: AbortSignal): Promise<number> {
    const { encryption, onDevice, pace, onSuperseded } = this.#parts;
    for (let requests = 0; ; requests += 1) {
      if (requests > 0) await pause(pace.betweenMs ?? 100, undefined, { signal, ref: false });
      signal.throwIfAborted();
      const request = await encryption.run(async (machine) => {
        const made = await machine.backupRoomKeys();
        const next = made && engineRequest(made);
        if (next?.id !== this.#pending?.id) this.#pending = next && pendingOf(next);
        return next;
      });
      if (request === undefined) return requests;
      try {
        await encryption.send(request, signal, async (machine) => {
          const outdated = this.#pending?.outdated === true;
          this.#pending = undefined;
          if (outdated) await onDevice.uploadAllAgain(machine);
        });
      } catch (error) {
        if (isHomeserverError(error) && SUPERSEDED.includes(error.errcode)) await onSuperseded(error.errcode);
        throw error;
      }
    }
  }

  async #runBackground(): Promise<void> {
    const { logger, pace } = this.#parts;
    const { signal } = this.#closing;
    let waitMs = Math.random() * (pace.startMs ?? 2_000);
    for (let failures = 0; this.#again && !signal.aborted; ) {
      try {
        await pause(waitMs, undefined, { signal, ref: false });
        this.#again = false;
        await this.drain(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (isHomeserverError(error) && SUPERSEDED.includes(error.errcode)) return;
        if (isKeyStoreError(error)) {
          logger.warn(`Room keys are not taken to the backup any more: ${messageOf(error)}`);
          this.#again = false;
          return;
        }
        failures += 1;
        waitMs = Math.max(
          rateLimit(error) ?? 0,
          Math.min(1_000 * 2 ** failures, MAX_BACKOFF_MS) * (0.5 + Math.random() / 2),
        );
        logger.info(`Room keys wait for the backup: ${messageOf(error)}`);
        this.#again = true;
      }
    }
  }
}

function pendingOf({ id, body }: EngineRequest): Pending {
  const rooms = Object.entries(objectOf(parseObject(body)?.rooms) ?? {});
  const names = rooms.flatMap(([roomId, room]) =>
    Object.keys(objectOf(objectOf(room)?.sessions) ?? {}).map((sessionId) => nameOf({ roomId, sessionId })),
  );
  return { id, names: new Set(names), outdated: false };
}

function nameOf({ roomId, sessionId }: RoomKey): string {
  return JSON.stringify([roomId, sessionId]);
}
