import type { BackupDecryptionKey } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption, RoomKey } from "../../crypto/encryption.ts";
import type { HomeserverApi, JsonObject, RequestOptions } from "../../http/homeserver-api.ts";
import { isHomeserverError } from "../../http/homeserver-error.ts";
import { path } from "../../http/path.ts";
import { batchesOf, ImportCount, type ImportProgress, type OnImportProgress } from "../room-keys/import-progress.ts";
import type { BackupSecret } from "./backup-key.ts";
import { BackupMisses } from "./backup-misses.ts";
import type { BackupOnDevice } from "./backup-on-device.ts";
import {
  importAsExported,
  importSessions,
  type OpenSession,
  openSession,
  type SealedSession,
  sessionsOf,
  sessionsOfRoom,
} from "./backup-session.ts";

/** A backup of any size is one answer. */
const DOWNLOAD_LIMIT_MS = 600_000;
/** One room key is little, and somebody waits for it. */
const ONE_KEY_LIMIT_MS = 10_000;

/** How a backup is restored. */
export interface RestoreOptions {
  /** What opens it. Default: the key that this device has saved. */
  readonly secret?: BackupSecret | undefined;
  /** Only room keys of these rooms, downloaded room by room. Default: all, as one download. */
  readonly rooms?: readonly string[] | undefined;
  readonly onProgress?: OnImportProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What restoring works on. */
export interface BackupRestoreParts {
  readonly api: HomeserverApi;
  readonly encryption: Encryption;
  readonly onDevice: BackupOnDevice;
  /** Called inside the `run` that brings room keys in which that version may not have. */
  readonly onImproved: (keys: readonly RoomKey[]) => void;
}

/** Brings room keys out of a backup. */
export class BackupRestore {
  readonly #api: HomeserverApi;
  readonly #encryption: Encryption;
  readonly #onDevice: BackupOnDevice;
  readonly #onImproved: (keys: readonly RoomKey[]) => void;
  readonly #misses = new BackupMisses();

  constructor({ api, encryption, onDevice, onImproved }: BackupRestoreParts) {
    this.#api = api;
    this.#encryption = encryption;
    this.#onDevice = onDevice;
    this.#onImproved = onImproved;
  }

  /** All room keys of a version, or those of some rooms, in batches of one commit each. */
  async all(version: string, key: BackupDecryptionKey, options: RestoreOptions): Promise<ImportProgress> {
    const sessions = await this.#download(version, options);
    const count = new ImportCount(sessions.length, options.onProgress);
    for (const batch of batchesOf(sessions)) {
      options.signal?.throwIfAborted();
      const opened = batch.flatMap((session) => openSession(key, session) ?? []);
      const imported = await this.#import(version, opened);
      count.add({ done: batch.length, imported, failed: batch.length - opened.length });
    }
    return count.progress;
  }

  /**
   * One room key; `false` where the backup does not hold it, or not in a shape that
   * can be read: for some minutes it is then not asked for again. Asked once, for 10 s at most.
   */
  async one(
    saved: { readonly key: BackupDecryptionKey; readonly version: string },
    roomId: string,
    sessionId: string,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { key, version } = saved;
    const backup = `${version} ${key.megolmV1PublicKey.publicKeyBase64}`;
    if (this.#misses.has(backup, roomId, sessionId)) return false;
    const sealed = await this.#get(path`/v3/room_keys/keys/${roomId}/${sessionId}`, version, {
      signal,
      timeoutMs: ONE_KEY_LIMIT_MS,
      retry: "never",
    });
    const opened = sealed && openSession(key, { roomId, sessionId, sealed });
    if (opened === undefined) {
      this.#misses.add(backup, roomId, sessionId);
      return false;
    }
    await this.#import(version, [opened]);
    return true;
  }

  /**
   * The engine takes what comes out of any backup for uploaded to the one that is on (`import_room_keys` of
   * matrix-sdk-crypto 0.19, whose IndexedDB store does not look at the version): out of another one it comes as from a file.
   */
  #import(version: string, sessions: readonly OpenSession[]): Promise<number> {
    return this.#encryption.run(async (machine) => {
      if (await this.#onDevice.isActive(version)) return importSessions(machine, version, sessions);
      const improved = await importAsExported(machine, sessions);
      this.#onImproved(improved);
      return improved.length;
    });
  }

  async #download(version: string, { rooms, signal }: RestoreOptions): Promise<readonly SealedSession[]> {
    if (rooms === undefined) return sessionsOf((await this.#get("/v3/room_keys/keys", version, { signal })) ?? {});
    const sessions: SealedSession[] = [];
    for (const roomId of new Set(rooms)) {
      const answer = await this.#get(path`/v3/room_keys/keys/${roomId}`, version, { signal });
      sessions.push(...sessionsOfRoom(roomId, answer ?? {}));
    }
    return sessions;
  }

  /** `undefined` where the homeserver says that there is no such version or room key. */
  async #get(endpoint: string, version: string, options: RequestOptions): Promise<JsonObject | undefined> {
    try {
      return await this.#api.request("GET", endpoint, { timeoutMs: DOWNLOAD_LIMIT_MS, ...options, query: { version } });
    } catch (error) {
      if (isHomeserverError(error, "M_NOT_FOUND")) return undefined;
      throw error;
    }
  }
}
