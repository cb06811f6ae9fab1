import { type Change, isKeyStoreError, type Logger } from "@holdfast/key-store-core";
import type { Encryption } from "../crypto/encryption.ts";
import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { isHomeserverError } from "../http/homeserver-error.ts";
import { path } from "../http/path.ts";
import type { SealedCollection } from "../records/sealed-collection.ts";
import type { RoomUpdate, StrippedUpdate } from "../sync/room-update.ts";
import { applyStripped, applyUpdate, type OnRefused, tellsAll } from "./apply-update.ts";
import { encryptionOf, harden, type RoomEncryption } from "./encryption-state.ts";
import { type Changeable, Freshness } from "./freshness.ts";
import { Members } from "./members.ts";
import {
  formatRoom,
  parseRoom,
  ROOMS_COLLECTION,
  type RoomHistoryVisibility,
  type RoomRecord,
  sameRoom,
  unknownRoom,
  visibilityOf,
} from "./room-record.ts";

/** What {@link Rooms} is made of. */
export interface RoomsOptions {
  readonly api: HomeserverApi;
  /** The encryption that runs now; `undefined` while its store is away: what is learnt is then in memory only. */
  readonly encryption: () => Encryption | undefined;
  readonly userId: string;
  readonly logger: Logger;
  /** Ends requests under way when the client closes. */
  readonly closing: AbortSignal;
}

/** Who gets a room's keys, and how they are made and shared. */
export interface Audience {
  readonly encryption: RoomEncryption;
  readonly visibility: RoomHistoryVisibility;
  /** User ids; none for a room that is not encrypted. */
  readonly targets: readonly string[];
  /** Whether anything of this has become known to be otherwise since. */
  changed(): boolean;
}

/**
 * What is known of rooms: a sealed record for each, written when a sync changes
 * it. A room's encryption is never weakened and never guessed. What this
 * process has once seen encrypted stays so for it, whatever an older record
 * says that a store comes back with. That a room is not encrypted counts only as
 * far as {@link Freshness} goes: else the homeserver is asked.
 */
export class Rooms {
  readonly #options: RoomsOptions;
  readonly #members: Members;
  /** What this process was told, by room id: all there is while the store is away. */
  readonly #seen = new Map<string, RoomRecord>();
  readonly #freshness = new Freshness();
  /** The event that was refused last, by room id. */
  readonly #refused = new Map<string, string>();

  constructor(options: RoomsOptions) {
    this.#options = Object.freeze({ ...options });
    this.#members = new Members(options);
  }

  /**
   * Takes in what a sync tells of a room where this user is joined, or was.
   * Answers with the changes for the commit of that sync, in whose `run` on
   * `encryption` it is called, whichever runs otherwise: the sync is acknowledged
   * with them, or not at all. With none where nothing is new, or without an
   * encryption: what is told is then in memory only, and is not to be
   * acknowledged. Taking the same in again does nothing.
   *
   * @throws what reads of the store throw
   */
  async takeIn(update: RoomUpdate, encryption: Encryption | undefined): Promise<Change[]> {
    this.#members.takeIn(update);
    const { roomId } = update;
    const changes = await this.#change(roomId, encryption, (known) => {
      const next = applyUpdate(known, update, this.#onRefused(roomId));
      this.#heedMembership(known, next);
      return next;
    });
    if (update.membership !== "join") return changes;
    if (tellsAll(update)) this.#freshness.told(roomId);
    // Whoever sends to an encrypted room is to be known before what they send is read, by a client that only reads too.
    const { encryption: known } = this.#seen.get(roomId) ?? unknownRoom(roomId);
    if (known?.kind === "encrypted") encryption?.follow(update.timeline.map(({ sender }) => sender));
    return changes;
  }

  /** As {@link takeIn}, for an invitation or a knock. */
  async takeInStripped(update: StrippedUpdate, encryption: Encryption | undefined): Promise<Change[]> {
    return this.#change(update.roomId, encryption, (known) => {
      const next = applyStripped(known, update, this.#options.userId);
      this.#heedMembership(known, next);
      return next;
    });
  }

  /** A sync is committed to this encryption, with all that was taken in of it: its records are as new as that sync. */
  synced(encryption: Encryption): void {
    this.#freshness.synced(encryption);
  }

  /** Whether this user is in a room, by what was taken in. @throws as {@link get} */
  async isJoined(roomId: string): Promise<boolean> {
    return (await this.get(roomId))?.membership === "join";
  }

  /** What is known of a room; `undefined` where nothing is. While the store fails, it is what this process has seen. */
  async get(roomId: string): Promise<RoomRecord | undefined> {
    let stored: RoomRecord | undefined;
    try {
      stored = await read(recordsOf(this.#options.encryption()), roomId);
    } catch (error) {
      if (!isKeyStoreError(error) || isKeyStoreError(error, "ERR_KEY_STORE_CORRUPT")) throw error;
    }
    const known = together(stored, this.#seen.get(roomId));
    // Remembered, for when the store goes away.
    if (known !== undefined) this.#seen.set(roomId, known);
    return known;
  }

  /**
   * Whether a room is encrypted, and how: what syncs have told this process; the
   * homeserver is asked about a room that none has told of, about one that
   * was plain when an earlier process ended, and about one that this user has left or joined.
   *
   * @throws `ROOM_ENCRYPTION_UNKNOWN` where that cannot be found out; the signal's reason
   */
  async encryption(roomId: string, signal?: AbortSignal): Promise<RoomEncryption> {
    for (;;) {
      const record = await this.get(roomId);
      const known = record?.encryption;
      if (known?.kind === "encrypted") return known;
      if (known != null && this.#counts(record, "encryption")) return known;
      const doubts = this.#freshness.doubts(roomId);
      const content = await this.#askForState(roomId, "m.room.encryption", signal);
      // The answer may be of before this user left or joined.
      if (doubts !== this.#freshness.doubts(roomId)) continue;
      if (content !== undefined) {
        const told = encryptionOf(content);
        await this.#learn(roomId, (before) => ({ ...before, encryption: harden(before.encryption, told).encryption }));
        return told;
      }
      // Who is not in a room is told how it was, not how it is.
      if (record?.membership === "join") this.#freshness.confirm(roomId, "encryption");
      // A sync may have been faster than the answer.
      const now = (await this.get(roomId))?.encryption;
      return now?.kind === "encrypted" ? now : { kind: "plain" };
    }
  }

  /**
   * Who gets a room's keys: those who are joined, and those who are invited
   * unless newcomers read only what is sent after they have joined.
   *
   * @throws `ROOM_ENCRYPTION_UNKNOWN` where the visibility cannot be found out;
   * what `HomeserverApi.request` throws; the signal's reason
   */
  async keyTargets(roomId: string, signal?: AbortSignal): Promise<readonly string[]> {
    const members = await this.#members.of(roomId, signal);
    const visibility = await this.historyVisibility(roomId, signal);
    return [...members].filter(([, kind]) => kind === "join" || visibility !== "joined").map(([userId]) => userId);
  }

  /**
   * All that a room's keys depend on, as it was at one moment.
   *
   * @throws as {@link encryption} and {@link keyTargets}
   */
  async audience(roomId: string, signal?: AbortSignal): Promise<Audience> {
    for (;;) {
      const before = this.#version(roomId);
      const encryption = await this.encryption(roomId, signal);
      const visibility = await this.historyVisibility(roomId, signal);
      const targets = encryption.kind === "plain" ? [] : await this.keyTargets(roomId, signal);
      const now = this.#version(roomId);
      // What was asked for first may not fit what was answered last.
      if (before === now) return { encryption, visibility, targets, changed: () => this.#version(roomId) !== now };
    }
  }

  /** Tells whether all that a room's keys depend on is known to be the same as before. */
  #version(roomId: string): string {
    const { membership, encryption, historyVisibility } = this.#seen.get(roomId) ?? unknownRoom(roomId);
    const doubts = this.#freshness.doubts(roomId);
    return JSON.stringify([this.#members.version(roomId), doubts, membership, encryption, historyVisibility]);
  }

  /** Asks who is in a room at the next need, and not before: its members have changed, and no sync has told yet. */
  forgetMembers(roomId: string): void {
    this.#members.forget(roomId);
  }

  /** This user has left a room or joined it, or may have, and no sync has told yet: it may not be what it was. */
  cameOrWent(roomId: string): void {
    this.#freshness.doubt(roomId);
    this.#members.forget(roomId);
  }

  /** As {@link encryption}, for the visibility of a room's history: `shared` where the room does not say. */
  async historyVisibility(roomId: string, signal?: AbortSignal): Promise<RoomHistoryVisibility> {
    for (;;) {
      const record = await this.get(roomId);
      const known = record?.historyVisibility ?? null;
      if (known !== null && this.#counts(record, "historyVisibility")) return known;
      const doubts = this.#freshness.doubts(roomId);
      const content = await this.#askForState(roomId, "m.room.history_visibility", signal);
      if (doubts !== this.#freshness.doubts(roomId)) continue;
      const told = visibilityOf(content ?? {}) ?? "shared";
      if (record?.membership !== "join") return told;
      // Not over what a sync has told meanwhile, which is newer.
      await this.#learn(roomId, (before) =>
        before.historyVisibility === known ? { ...before, historyVisibility: told } : before,
      );
      this.#freshness.confirm(roomId, "historyVisibility");
      return (await this.get(roomId))?.historyVisibility ?? told;
    }
  }

  /** Whether what a record says counts, which it does not of a room where this user is not. */
  #counts(record: RoomRecord | undefined, what: Changeable): boolean {
    if (record?.membership !== "join") return false;
    return this.#freshness.counts(record.roomId, what, this.#options.encryption());
  }

  /** A store that comes back may say that this user is still where it was: that counts for nothing then. */
  #heedMembership(known: RoomRecord, next: RoomRecord): void {
    if (known.membership === "join" && next.membership !== "join") this.#freshness.doubt(next.roomId);
  }

  /** The content of a state event; `undefined` where the homeserver says that there is none. */
  async #askForState(roomId: string, type: string, signal: AbortSignal | undefined): Promise<JsonObject | undefined> {
    try {
      return await this.#options.api.request("GET", path`/v3/rooms/${roomId}/state/${type}`, { signal });
    } catch (cause) {
      signal?.throwIfAborted();
      if (isHomeserverError(cause, "M_NOT_FOUND") && cause.status === 404) return undefined;
      const message = `the homeserver did not say whether there is ${type} in ${roomId}: nothing is sent to it`;
      throw new MatrixClientError("ROOM_ENCRYPTION_UNKNOWN", message, { cause });
    }
  }

  /** Keeps what the homeserver answered: alone on the engine, so that no sync's change of the record is lost. */
  async #learn(roomId: string, change: (known: RoomRecord) => RoomRecord): Promise<void> {
    const encryption = this.#options.encryption();
    const learn = (): Promise<Change[]> => this.#change(roomId, encryption, change);
    if (encryption === undefined) {
      await learn();
      return;
    }
    await encryption.run(async () => encryption.commit(await learn()));
  }

  async #change(
    roomId: string,
    encryption: Encryption | undefined,
    change: (known: RoomRecord) => RoomRecord,
  ): Promise<Change[]> {
    const records = recordsOf(encryption);
    const stored = await read(records, roomId);
    // Without a pause from here on: what others see of the room meanwhile would be lost.
    const next = change(together(stored, this.#seen.get(roomId)) ?? unknownRoom(roomId));
    this.#seen.set(roomId, next);
    // Against what is stored, not what was seen: a commit that failed is made up for.
    if (records === undefined || sameRoom(stored, next)) return [];
    return [records.put(records.keyOf(roomId), formatRoom(next))];
  }

  #onRefused(roomId: string): OnRefused {
    return (why, { event_id: eventId }) => {
      // While the store is away the same comes with every sync.
      if (eventId !== undefined && this.#refused.get(roomId) === eventId) return;
      if (eventId !== undefined) this.#refused.set(roomId, eventId);
      this.#options.logger.error(`An m.room.encryption event in ${roomId} was ignored: ${why}`);
    };
  }
}

function recordsOf(encryption: Encryption | undefined): SealedCollection<JsonObject> | undefined {
  return encryption?.collection<JsonObject>(ROOMS_COLLECTION);
}

async function read(
  records: SealedCollection<JsonObject> | undefined,
  roomId: string,
): Promise<RoomRecord | undefined> {
  const value = await records?.get(records.keyOf(roomId));
  return value === undefined ? undefined : parseRoom(value);
}

/** The record as it is stored, with the encryption that this process has seen where that is stricter. */
function together(stored: RoomRecord | undefined, seen: RoomRecord | undefined): RoomRecord | undefined {
  if (stored === undefined || seen === undefined) return stored ?? seen;
  if (seen.encryption === null) return stored;
  return { ...stored, encryption: harden(stored.encryption, seen.encryption).encryption };
}
