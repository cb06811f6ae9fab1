import { isObject, type JsonObject, objectIn, stringIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { type BackedUpSession, sessionIn, takesThePlaceOf } from "./backed-up-session.ts";

interface Backup {
  readonly version: string;
  readonly algorithm: string;
  authData: JsonObject;
  /** Grows with every change of the sessions. */
  etag: number;
  readonly rooms: Map<string, Map<string, BackedUpSession>>;
}

/** Which sessions of a backup: all, a room's, or one. */
export interface Scope {
  readonly roomId?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** How a backup is now: changed since, and how many sessions it holds. */
export interface BackupState {
  readonly etag: string;
  readonly count: number;
}

/** Backups of room keys on the server: versions, of which the newest takes sessions in. */
export class Backups {
  readonly #users = new Map<string, { versions: number; readonly backups: Backup[] }>();

  /** Makes a version, which is then the newest; answers with its number. Needs `algorithm` and `auth_data`. */
  create(userId: string, body: JsonObject): string {
    const user = this.#users.get(userId) ?? { versions: 0, backups: [] };
    this.#users.set(userId, user);
    const [algorithm, authData] = [stringIn(body, "algorithm"), authDataIn(body)];
    user.versions += 1;
    const version = String(user.versions);
    user.backups.push({ version, algorithm, authData, etag: 0, rooms: new Map() });
    return version;
  }

  /**
   * A version and what is in it; the newest where none is named.
   *
   * @throws MatrixError `M_NOT_FOUND`
   */
  info(userId: string, version?: string): JsonObject {
    const backup = this.#find(userId, version);
    return { version: backup.version, algorithm: backup.algorithm, auth_data: backup.authData, ...stateOf(backup) };
  }

  /**
   * Changes a version's `auth_data`: signatures are added so.
   *
   * @throws MatrixError `M_NOT_FOUND`; `M_INVALID_PARAM` for another algorithm or another version in the body
   */
  update(userId: string, version: string, body: JsonObject): void {
    const backup = this.#find(userId, version);
    if (body.version !== undefined && body.version !== version) {
      throw new MatrixError(400, "M_INVALID_PARAM", "the version in the body is another one");
    }
    if (body.algorithm !== backup.algorithm) {
      throw new MatrixError(400, "M_INVALID_PARAM", "the algorithm of a backup cannot be changed");
    }
    backup.authData = authDataIn(body);
  }

  /**
   * Deletes a version with what is in it; the newest of the others is then current.
   *
   * @throws MatrixError `M_NOT_FOUND`
   */
  delete(userId: string, version: string): void {
    const { backups } = this.#users.get(userId) ?? { backups: [] };
    const index = backups.findIndex((backup) => backup.version === version);
    if (index === -1) throw new MatrixError(404, "M_NOT_FOUND", "there is no such version");
    backups.splice(index, 1);
  }

  /**
   * Takes sessions into the current version, each where it is better than what is there.
   *
   * @throws MatrixError `M_WRONG_ROOM_KEYS_VERSION` for a version that is not current, `M_NOT_FOUND` where there is none
   */
  put(userId: string, version: string, sessions: Iterable<readonly [string, string, JsonObject]>): BackupState {
    const backup = this.#current(userId, version);
    const parsed = [...sessions].map(([roomId, sessionId, body]) => [roomId, sessionId, sessionIn(body)] as const);
    let changed = false;
    for (const [roomId, sessionId, session] of parsed) {
      const room = backup.rooms.get(roomId) ?? new Map<string, BackedUpSession>();
      backup.rooms.set(roomId, room);
      const known = room.get(sessionId);
      if (known !== undefined && !takesThePlaceOf(session, known)) continue;
      room.set(sessionId, session);
      changed = true;
    }
    if (changed) backup.etag += 1;
    return stateOf(backup);
  }

  /**
   * The sessions of a version, by room and session id.
   *
   * @throws MatrixError `M_NOT_FOUND` where there is no such version
   */
  get(userId: string, version: string, { roomId, sessionId }: Scope): Map<string, Map<string, BackedUpSession>> {
    const found = new Map<string, Map<string, BackedUpSession>>();
    for (const [room, sessions] of this.#find(userId, version).rooms) {
      if (roomId !== undefined && room !== roomId) continue;
      const wanted = [...sessions].filter(([id]) => sessionId === undefined || id === sessionId);
      if (wanted.length > 0) found.set(room, new Map(wanted));
    }
    return found;
  }

  /**
   * Deletes sessions of a version.
   *
   * @throws MatrixError `M_NOT_FOUND` where there is no such version
   */
  remove(userId: string, version: string, scope: Scope): BackupState {
    const backup = this.#find(userId, version);
    for (const [roomId, sessions] of this.get(userId, version, scope)) {
      for (const sessionId of sessions.keys()) backup.rooms.get(roomId)?.delete(sessionId);
    }
    backup.etag += 1;
    return stateOf(backup);
  }

  #find(userId: string, version: string | undefined): Backup {
    const backups = this.#users.get(userId)?.backups ?? [];
    const found = version === undefined ? backups.at(-1) : backups.find((backup) => backup.version === version);
    if (found === undefined) throw new MatrixError(404, "M_NOT_FOUND", "there is no such backup");
    return found;
  }

  #current(userId: string, version: string): Backup {
    const current = this.#find(userId, undefined);
    if (current.version === version) return current;
    throw new MatrixError(403, "M_WRONG_ROOM_KEYS_VERSION", "this is not the current version", {
      current_version: current.version,
    });
  }
}

function stateOf({ etag, rooms }: Backup): BackupState {
  return { etag: String(etag), count: [...rooms.values()].reduce((count, room) => count + room.size, 0) };
}

function authDataIn(body: JsonObject): JsonObject {
  if (!isObject(body.auth_data)) throw new MatrixError(400, "M_BAD_JSON", "auth_data must be an object");
  return objectIn(body, "auth_data");
}
