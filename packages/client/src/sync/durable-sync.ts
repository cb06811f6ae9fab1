import type { Change, Logger } from "@holdfast/key-store-core";
import type { Encryption } from "../crypto/encryption.ts";
import { CLIENT_COLLECTION } from "../crypto/engine-encryption.ts";
import type { Inbox, InboxEntry } from "../delivery/inbox.ts";
import type { JsonObject } from "../http/homeserver-api.ts";
import { textOf } from "../http/json.ts";
import type { SealedCollection } from "../records/sealed-collection.ts";
import type { DecryptionTrust } from "../trust/trust-requirement.ts";
import { type News, OpenGaps } from "./open-gaps.ts";
import { isStrippedName, type RoomUpdate, type StrippedUpdate, strippedName } from "./room-update.ts";
import type { SyncUpdate } from "./sync-response.ts";
import type { TimelineParts } from "./timeline.ts";
import { type ProcessedToDevice, receive } from "./to-device.ts";

/**
 * What is known of rooms, as a sync tells it. Called inside the `run` of the
 * encryption that commits the sync's token; with `undefined` for a sync that is not acknowledged.
 */
export interface RoomsInSync {
  /** Whether this user is in a room, by what was taken in. */
  isJoined(roomId: string): Promise<boolean>;
  takeIn(update: RoomUpdate, encryption: Encryption | undefined): Promise<readonly Change[]>;
  takeInStripped(update: StrippedUpdate, encryption: Encryption | undefined): Promise<readonly Change[]>;
  /** A sync is committed to this encryption, with all that was taken in of it. */
  synced(encryption: Encryption): void;
}

/** What a durable sync works on. */
export interface DurableSyncParts extends TimelineParts {
  readonly encryption: Encryption;
  readonly inbox: Inbox;
  readonly rooms: RoomsInSync;
  readonly requirement: DecryptionTrust;
  /** Whether the timelines of the first sync of all are delivered: they are history. */
  readonly deliverHistory: boolean;
  /** Events, invitations and knocks that were handled while the store was away. */
  readonly handled: Set<string>;
  readonly logger: Logger;
}

const TOKEN = Buffer.from("sync-token");

/**
 * Takes sync responses in, each as one durable commit: the engine's state, what
 * is known of rooms, the inbox, and the token that acknowledges them.
 */
export class DurableSync {
  readonly #parts: DurableSyncParts;
  readonly #records: SealedCollection<JsonObject>;
  readonly #gaps: OpenGaps;
  /** Whether nothing was taken in: the next response may bring what was handled while the store was away. */
  #isFirst = true;

  constructor(parts: DurableSyncParts) {
    this.#parts = parts;
    this.#records = parts.encryption.collection(CLIENT_COLLECTION);
    this.#gaps = new OpenGaps(parts.encryption.collection("gaps"), parts);
  }

  /** The token committed last; `undefined` before the first sync. */
  async since(): Promise<string | undefined> {
    return textOf((await this.#records.get(TOKEN))?.token);
  }

  /**
   * Takes a response in, and answers with the messages between devices that it brought.
   *
   * @throws the store's `KeyStoreError`, and what `HomeserverApi.request` throws: nothing is taken in then
   */
  async take(
    update: SyncUpdate,
    since: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly ProcessedToDevice[]> {
    const { encryption, inbox, rooms } = this.#parts;
    const { entries, known, changes: ofGaps } = await this.#entries(update, since, signal);
    const taken = await encryption.run(async (machine) => {
      encryption.devicesChanged(update.deviceLists.changed);
      const toDevice = await receive(machine, update, this.#parts);
      const changes: Change[] = [...ofGaps];
      for (const room of update.rooms) changes.push(...(await rooms.takeIn(room, encryption)));
      for (const room of update.stripped) changes.push(...(await rooms.takeInStripped(room, encryption)));
      const own = toDevice.filter(({ type }) => !type.startsWith("m.")).map(toDeviceEntry);
      changes.push(...inbox.append([...own, ...entries]));
      changes.push(this.#records.put(TOKEN, { token: update.nextBatch }));
      await encryption.commit(changes);
      return toDevice;
    });
    rooms.synced(encryption);
    // Only now: a response whose commit has failed comes again.
    const { handled } = this.#parts;
    for (const eventId of known) handled.delete(eventId);
    // What comes after this is another one, although it may have the same name.
    for (const name of handled) if (isStrippedName(name)) handled.delete(name);
    this.#isFirst = false;
    return taken;
  }

  async #entries(update: SyncUpdate, since: string | undefined, signal: AbortSignal): Promise<Arrived> {
    const { deliverHistory, handled, rooms } = this.#parts;
    const late = await this.#gaps.tryOne(signal);
    const told: News[] = late === undefined ? [] : [late];
    for (const room of update.rooms) {
      const { roomId, timeline } = room;
      if (since !== undefined) {
        const wasJoined = await rooms.isJoined(roomId);
        told.push(await this.#gaps.newsOf(room, { token: since, wasJoined }, signal));
      } else if (deliverHistory) told.push({ roomId, events: timeline, changes: [] });
    }
    const entries: InboxEntry[] = [];
    const known: string[] = [];
    for (const { roomId, events } of told) {
      for (const event of events) {
        if (handled.has(event.event_id)) known.push(event.event_id);
        else entries.push({ kind: "event", roomId, event });
      }
    }
    for (const stripped of update.stripped) {
      if (this.#isFirst && handled.has(strippedName(stripped, this.#parts.userId))) continue;
      const { roomId, membership, state } = stripped;
      entries.push({ kind: membership, roomId, event: { events: state } });
    }
    return { entries, known, changes: told.flatMap(({ changes }) => changes) };
  }
}

/** What has arrived. */
interface Arrived {
  /** What goes into the inbox. */
  readonly entries: readonly InboxEntry[];
  /** The ids of events that do not, because they were handled before. */
  readonly known: readonly string[];
  /** What is committed besides. */
  readonly changes: readonly Change[];
}

function toDeviceEntry(event: ProcessedToDevice): InboxEntry {
  return { kind: "to-device", roomId: "", event: { ...event } };
}
