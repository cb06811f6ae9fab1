import { type Change, compareBytes } from "@holdfast/key-store-core";
import { type Decrypted, decryptRoomEvent, type SenderTrust } from "../crypto/decrypt.ts";
import type { Encryption, RoomKey } from "../crypto/encryption.ts";
import { Rounds } from "../crypto/rounds.ts";
import type { IncomingEvent, UndecryptableEvent } from "../events.ts";
import { objectOf } from "../http/json.ts";
import type { RoomEvent } from "../sync/room-update.ts";
import type { DecryptionTrust } from "../trust/trust-requirement.ts";
import { type Delivery, strippedDelivery, toDeviceOf } from "./hand-over.ts";
import type { HeldEvents, HeldRecord } from "./held-events.ts";
import { type Inbox, type InboxEntry, type InboxRecord, nameOfEntry, strippedOf } from "./inbox.ts";
import { KeyFetches } from "./key-fetches.ts";
import { Lanes } from "./lanes.ts";
import { handOverPersistently, type PersistenceParts } from "./persistent-hand-over.ts";
import type { SetAside } from "./set-aside.ts";

/** What delivery works on, and how much at a time. */
export interface InboxDeliveryParts extends PersistenceParts {
  readonly encryption: Encryption;
  readonly inbox: Inbox;
  readonly held: HeldEvents;
  readonly setAside: SetAside;
  /** What handlers are done with, and is not out of the inbox: from before the store failed, or while it was away. */
  readonly handled: Set<string>;
  readonly requirement: DecryptionTrust;
  /** How many rooms' handlers run at once. */
  readonly concurrency: number;
  readonly onUndecryptable: (event: UndecryptableEvent) => Promise<void>;
  /** What else is committed when a delivery is done. */
  readonly alsoWhenDone: (owner: string) => Promise<readonly Change[]>;
  /** Asks elsewhere for a key that has not come, such as in the backup; answers whether it came. Rejects where that is not known. */
  readonly fetchKey: (key: RoomKey) => Promise<boolean>;
}

const PAGE = 64;
/** How much is taken out of the inbox before handlers are done with it: altogether, and of one room. */
const MOST_PENDING = { altogether: 1_024, ofRoom: 32 } as const;
const MOST_HELD_KEYS = 1_000;

/**
 * Hands over what is in the inbox, oldest first, and takes out what is done.
 * An event that cannot be decrypted goes to those that wait for their key; a
 * delivery whose handlers fail is tried again later, and others go on meanwhile.
 */
export class InboxDelivery {
  readonly #parts: InboxDeliveryParts;
  readonly #lanes: Lanes;
  readonly #stop = new AbortController();
  readonly #stopped: AbortSignal;
  readonly #pump = new Rounds(() => this.#takeFromInbox());
  readonly #commits = new Rounds(() => this.#commitDone());
  readonly #fetches: KeyFetches;
  readonly #offRoomKeys: () => void;
  /** Rooms with more in the inbox than is taken at a time: where it is gone on with, after this key. */
  readonly #behind = new Map<string, Uint8Array | undefined>();
  #done: Change[] = [];
  #cursor: Uint8Array | undefined;

  constructor(parts: InboxDeliveryParts) {
    this.#parts = parts;
    this.#lanes = new Lanes(parts.concurrency);
    this.#stopped = AbortSignal.any([this.#stop.signal, parts.stopping]);
    this.#fetches = new KeyFetches({ ...parts, stopped: this.#stopped });
    this.#offRoomKeys = parts.encryption.onRoomKeys((keys) => {
      // After the batch in which they come: only then are they there to be used.
      for (const key of keys) void this.retry(key);
    });
  }

  /** Begins: what was in the inbox before, and what waits for keys that may have come meanwhile. */
  start(): void {
    this.kick();
    for (const key of this.#parts.held.keysWaitedFor()) void this.retry(key);
  }

  /** There is more in the inbox. */
  kick(): void {
    this.#pump.run().catch((error) => this.#failed(error, "reading the inbox"));
  }

  /** Tries the events that wait for a room key once more, in the order they came; those that open are delivered. */
  async retry(key: RoomKey): Promise<void> {
    const { held, encryption, inbox } = this.#parts;
    try {
      let opened = 0;
      // Behind a batch that runs: the key is part of it.
      await encryption.run(async (machine) => {
        for (const record of await held.waitingFor(key)) {
          if (!(await this.#decrypts(machine, record))) continue;
          const { roomId, event } = record.held;
          await encryption.commit([
            held.release(record.key),
            ...inbox.append([{ kind: "event", roomId, event, late: true }]),
          ]);
          opened += 1;
        }
      });
      if (opened > 0) this.kick();
    } catch (error) {
      this.#failed(error, "trying an event again whose key has come");
    }
  }

  /** Asks elsewhere for the keys that events wait for, beside everything else; of very many only for those that came last. */
  fetchHeld(): void {
    void this.#fetches.inTurn(this.#parts.held.keysStillWaitedFor(MOST_HELD_KEYS));
  }

  /** Takes no more out; what handlers are at is left to end, without being taken out where the store has failed. */
  stop(): void {
    this.#offRoomKeys();
    this.#stop.abort();
  }

  async #decrypts(machine: Parameters<Parameters<Encryption["run"]>[0]>[0], { held }: HeldRecord): Promise<boolean> {
    return (await decryptRoomEvent(machine, held.roomId, held.event, this.#parts.requirement)).ok;
  }

  async #takeFromInbox(): Promise<void> {
    for (const [roomId, after] of [...this.#behind]) {
      if (this.#lanes.pendingIn(roomId) === 0) await this.#catchUp(roomId, after);
    }
    while (!this.#stopped.aborted) {
      const page = await this.#parts.inbox.page(this.#cursor, PAGE);
      for (const record of page) {
        const { roomId } = record.entry;
        if (this.#behind.has(roomId)) {
          // Its order is kept: what comes later waits for what was left.
        } else if (this.#isFull(roomId)) this.#behind.set(roomId, this.#cursor);
        else await this.#take(record);
        this.#cursor = record.key;
      }
      if (page.length < PAGE) return;
    }
  }

  /** Takes more of a room whose handlers are done with what was taken before; the rooms beside it have gone on. */
  async #catchUp(roomId: string, from: Uint8Array | undefined): Promise<void> {
    let after = from;
    while (!this.#stopped.aborted) {
      const page = await this.#parts.inbox.page(after, PAGE);
      for (const record of page) {
        const isNew = this.#cursor === undefined || compareBytes(record.key, this.#cursor) > 0;
        if (isNew) break;
        if (record.entry.roomId === roomId) {
          if (this.#isFull(roomId)) return void this.#behind.set(roomId, after);
          await this.#take(record);
        }
        after = record.key;
      }
      if (page.length < PAGE || after !== page.at(-1)?.key) break;
    }
    this.#behind.delete(roomId);
  }

  #isFull(roomId: string): boolean {
    return this.#lanes.pendingIn(roomId) >= MOST_PENDING.ofRoom;
  }

  /** Gives a record to its room's lane. */
  async #take(record: InboxRecord): Promise<void> {
    const { roomId } = record.entry;
    await this.#lanes.below(MOST_PENDING.altogether);
    this.#lanes.add(roomId, () => this.#deliver(record).finally(() => this.#afterDelivery(roomId)));
  }

  #afterDelivery(roomId: string): void {
    // This one is still counted.
    if (this.#behind.has(roomId) && this.#lanes.pendingIn(roomId) === 1) setImmediate(() => this.kick());
  }

  async #deliver(record: InboxRecord): Promise<void> {
    if (this.#stopped.aborted) return;
    try {
      // Its handlers were done before, when the store failed: only what says so was lost.
      if (this.#parts.handled.has(nameOfEntry(record.entry, this.#parts.encryption.userId)))
        return await this.#finish(record, "done");
      const delivery = await this.#open(record);
      if (delivery === undefined) return;
      await handOverPersistently(
        this.#parts,
        delivery,
        (outcome) =>
          this.#finish(record, outcome).catch((error) => this.#failed(error, "taking an event out of the inbox")),
        this.#stopped,
      );
    } catch (error) {
      this.#failed(error, "delivering from the inbox");
    }
  }

  /** What to hand over; `undefined` where the event was put with those that wait for their key, cannot be opened at all, or is left for the next process. */
  async #open({ key, entry }: InboxRecord): Promise<Delivery | undefined> {
    const { encryption, requirement } = this.#parts;
    if (entry.kind === "to-device") return { kind: "to-device", event: toDeviceOf(entry) };
    const stripped = strippedOf(entry);
    if (stripped !== undefined) return strippedDelivery(stripped, encryption.userId);
    const event = entry.event as RoomEvent;
    if (event.type !== "m.room.encrypted" || event.state_key !== undefined || isRedacted(event)) {
      return { kind: "event", event: incoming(entry, event.type, event.content, undefined) };
    }
    const decrypt = () => encryption.run((machine) => decryptRoomEvent(machine, entry.roomId, event, requirement));
    let decrypted = await decrypt();
    if (!decrypted.ok && decrypted.mayComeLater && decrypted.sessionId !== undefined && entry.late !== true) {
      const came = await this.#fetches.soon({ roomId: entry.roomId, sessionId: decrypted.sessionId });
      // It stays where it is: the next process looks for its key.
      if (this.#stopped.aborted) return undefined;
      if (came) decrypted = await decrypt();
    }
    if (decrypted.ok) {
      return { kind: "event", event: incoming(entry, decrypted.type, decrypted.content, decrypted.trust) };
    }
    await this.#setWithWaiting(key, entry, event, decrypted);
    return undefined;
  }

  async #setWithWaiting(
    key: Uint8Array,
    entry: InboxEntry,
    event: RoomEvent,
    { code, reason, withheld, mayComeLater, sessionId }: Extract<Decrypted, { ok: false }>,
  ): Promise<void> {
    const { encryption, inbox, held, logger, onUndecryptable } = this.#parts;
    const { roomId } = entry;
    const holds = mayComeLater && sessionId !== undefined;
    const { changes, dropped } = holds ? held.hold({ roomId, sessionId, event }) : { changes: [], dropped: 0 };
    await encryption.commit([inbox.remove(key), ...changes]);
    if (dropped > 0) logger.warn(`${dropped} event(s) that waited longest for their keys were let go of`);
    logger.warn(
      `Event ${event.event_id} in ${roomId} cannot be decrypted${holds ? " yet" : ""}: ${code}${withheld === undefined ? "" : ` (withheld: ${withheld})`}`,
    );
    if (entry.late !== true) {
      const { event_id: eventId, sender, origin_server_ts: timestamp } = event;
      const about = { roomId, eventId, sender, timestamp, code, reason, withheld, held: holds, raw: event };
      // It is told once: nothing waits for what its handlers make of it.
      onUndecryptable(about).catch((error) =>
        this.#parts.onError({ error, doing: "calling a handler of undecryptable" }),
      );
    }
    // Its key may have come between the attempt and the commit.
    if (holds) void this.retry({ roomId, sessionId });
  }

  /** Takes an entry out; entries that are done at the same time go in one commit. */
  async #finish({ key, entry }: InboxRecord, outcome: "done" | "set aside"): Promise<void> {
    const { encryption, inbox, setAside, alsoWhenDone, handled } = this.#parts;
    const name = nameOfEntry(entry, encryption.userId);
    // What is set aside is handled only where the commit says so.
    if (name !== "" && outcome === "done") handled.add(name);
    const also = entry.kind === "event" ? await alsoWhenDone(name) : [];
    const kept = outcome === "done" ? [] : setAside.add(entry);
    this.#done.push(inbox.remove(key), ...also, ...kept);
    await this.#commits.run();
    handled.delete(name);
  }

  async #commitDone(): Promise<void> {
    const changes = this.#done;
    this.#done = [];
    if (changes.length > 0) await this.#parts.encryption.commit(changes);
  }

  /** After the store's failure all is delivered again by whoever opens it next; before, a failure is told. */
  #failed(error: unknown, doing: string): void {
    if (this.#stopped.aborted || this.#parts.encryption.deviceStore.failed.aborted) return;
    this.#parts.onError({ error, doing });
  }
}

/** What is left of a redacted event has nothing to decrypt. */
function isRedacted({ content, unsigned }: RoomEvent): boolean {
  return unsigned?.redacted_because !== undefined || objectOf(content)?.algorithm === undefined;
}

/** An event as its handlers see it. */
export function incoming(
  { roomId, event: raw, late }: Pick<InboxEntry, "roomId" | "event" | "late">,
  type: string,
  content: IncomingEvent["content"],
  trust: SenderTrust | undefined,
): IncomingEvent {
  const event = raw as RoomEvent;
  return {
    roomId,
    eventId: event.event_id,
    sender: event.sender,
    type,
    content,
    stateKey: event.state_key,
    timestamp: event.origin_server_ts,
    encrypted: trust !== undefined,
    trust,
    late: late === true,
    raw: event,
  };
}
