import type { BackupDecryptionKey } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import type { HomeserverApi, JsonObject } from "../../http/homeserver-api.ts";
import { isHomeserverError } from "../../http/homeserver-error.ts";
import { path } from "../../http/path.ts";
import { batchesOf, ImportCount, type ImportProgress, type OnImportProgress } from "../room-keys/import-progress.ts";
import type { BackupSecret } from "./backup-key.ts";
import { importSessions, openSession, type SealedSession, sessionsOf, sessionsOfRoom } from "./backup-session.ts";

/** A backup of any size is one answer. */
const DOWNLOAD_LIMIT_MS = 600_000;

/** How a backup is restored. */
export interface RestoreOptions {
  /** What opens it. Default: the key that this device has saved. */
  readonly secret?: BackupSecret | undefined;
  /** Only room keys of these rooms, downloaded room by room. Default: all, as one download. */
  readonly rooms?: readonly string[] | undefined;
  readonly onProgress?: OnImportProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Brings room keys out of a backup. */
export class BackupRestore {
  readonly #api: HomeserverApi;
  readonly #encryption: Encryption;

  constructor(parts: { readonly api: HomeserverApi; readonly encryption: Encryption }) {
    this.#api = parts.api;
    this.#encryption = parts.encryption;
  }

  /** All room keys of a version, or those of some rooms, in batches of one commit each. */
  async all(version: string, key: BackupDecryptionKey, options: RestoreOptions): Promise<ImportProgress> {
    const sessions = await this.#download(version, options);
    const count = new ImportCount(sessions.length, options.onProgress);
    for (const batch of batchesOf(sessions)) {
      options.signal?.throwIfAborted();
      const opened = batch.flatMap((session) => openSession(key, session) ?? []);
      const imported = await this.#encryption.run((machine) => importSessions(machine, version, opened));
      count.add({ done: batch.length, imported, failed: batch.length - opened.length });
    }
    return count.progress;
  }

  /** One room key; `false` where the backup does not hold it, or not in a shape that can be read. */
  async one(
    saved: { readonly key: BackupDecryptionKey; readonly version: string },
    roomId: string,
    sessionId: string,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { key, version } = saved;
    const sealed = await this.#get(path`/v3/room_keys/keys/${roomId}/${sessionId}`, version, signal);
    const opened = sealed && openSession(key, { roomId, sessionId, sealed });
    if (opened === undefined) return false;
    await this.#encryption.run((machine) => importSessions(machine, version, [opened]));
    return true;
  }

  async #download(version: string, { rooms, signal }: RestoreOptions): Promise<readonly SealedSession[]> {
    if (rooms === undefined) return sessionsOf((await this.#get("/v3/room_keys/keys", version, signal)) ?? {});
    const sessions: SealedSession[] = [];
    for (const roomId of new Set(rooms)) {
      const answer = await this.#get(path`/v3/room_keys/keys/${roomId}`, version, signal);
      sessions.push(...sessionsOfRoom(roomId, answer ?? {}));
    }
    return sessions;
  }

  /** `undefined` where the homeserver says that there is no such version or room key. */
  async #get(endpoint: string, version: string, signal: AbortSignal | undefined): Promise<JsonObject | undefined> {
    try {
      return await this.#api.request("GET", endpoint, { query: { version }, timeoutMs: DOWNLOAD_LIMIT_MS, signal });
    } catch (error) {
      if (isHomeserverError(error, "M_NOT_FOUND")) return undefined;
      throw error;
    }
  }
}
