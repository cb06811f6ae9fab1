import { messageOf } from "@holdfast/key-store-core";
import { type Delivery, strippedDelivery } from "../delivery/hand-over.ts";
import { incoming } from "../delivery/inbox-delivery.ts";
import { Lanes } from "../delivery/lanes.ts";
import { handOverPersistently, type PersistenceParts } from "../delivery/persistent-hand-over.ts";
import type { RoomsInSync } from "./durable-sync.ts";
import { isOfNoGap } from "./gap.ts";
import { type RoomEvent, type RoomUpdate, type StrippedUpdate, strippedName } from "./room-update.ts";
import type { SyncTarget } from "./sync-loop.ts";
import type { SyncUpdate } from "./sync-response.ts";
import { newEvents, type TimelineParts } from "./timeline.ts";

/** What a sync without the store works on. */
export interface AwaySyncParts extends TimelineParts, PersistenceParts {
  readonly rooms: RoomsInSync;
  /** The token committed last in the preferred store, where this process knows it. */
  readonly heldToken: string | undefined;
  /** Events, invitations and knocks whose handlers are done: they are not delivered again, nor when the store is back. */
  readonly handled: Set<string>;
  readonly concurrency: number;
  readonly pauseMs: number;
  /** Aborts when the client closes. Until then handlers are tried again, although the store may be back meanwhile. */
  readonly closing: AbortSignal;
}

/** How many names are remembered, although the last response did not have them any more. */
const MOST_SEEN = 10_000;

/**
 * Takes sync responses in while the keys' store is away: nothing is
 * acknowledged. Each response is asked for from the same token, so that the
 * homeserver keeps all messages between devices; what is not encrypted is
 * delivered from memory, told apart by event id; what is encrypted comes again
 * when the store is back.
 */
export class AwaySync implements SyncTarget {
  readonly ended: AbortSignal;
  readonly #parts: AwaySyncParts;
  readonly #lanes: Lanes;
  readonly #ending = new AbortController();
  readonly #stopped: AbortSignal;
  readonly #seen = new Set<string>();
  /** Whether this user was in a room at the token that is held. */
  readonly #wasJoined = new Map<string, boolean>();
  /** Rooms whose last gap could not be filled. */
  readonly #failing = new Set<string>();
  #now = new Set<string>();
  #baseline: boolean;

  constructor(parts: AwaySyncParts) {
    this.#parts = parts;
    this.#lanes = new Lanes(parts.concurrency);
    // Without a token the first response is history: what comes after it is news.
    this.#baseline = parts.heldToken === undefined;
    this.ended = this.#ending.signal;
    this.#stopped = AbortSignal.any([parts.closing, parts.stopping]);
  }

  get pauseMs(): number {
    return this.#parts.pauseMs;
  }

  async since(): Promise<string | undefined> {
    return this.#parts.heldToken;
  }

  async take(update: SyncUpdate, since: string | undefined, signal: AbortSignal): Promise<void> {
    const { rooms } = this.#parts;
    this.#now = new Set();
    for (const room of update.rooms) {
      // What was so before the first response, which every later one begins anew from.
      if (!this.#wasJoined.has(room.roomId)) this.#wasJoined.set(room.roomId, await rooms.isJoined(room.roomId));
      await rooms.takeIn(room, undefined);
      for (const event of await this.#news(room, since, signal)) this.#event(room.roomId, event);
    }
    for (const room of update.stripped) {
      await rooms.takeInStripped(room, undefined);
      this.#stripped(room);
    }
    this.#baseline = false;
    this.#forget();
  }

  /** Takes nothing more in, and leaves what handlers are at to end. */
  end(): void {
    this.#ending.abort();
  }

  /**
   * What a response tells of a room, and what it left out. Where that cannot be
   * fetched the first time, the whole sync fails: the homeserver may be away.
   * From then on the rest is delivered without it: each response leaves it out
   * again, so that it is asked for again.
   */
  async #news(room: RoomUpdate, since: string | undefined, signal: AbortSignal): Promise<readonly RoomEvent[]> {
    const { roomId, timeline } = room;
    if (since === undefined) return timeline;
    const once = this.#failing.has(roomId);
    try {
      const wasJoined = this.#wasJoined.get(roomId) ?? false;
      const events = await newEvents(this.#parts, room, { token: since, wasJoined }, signal, once);
      this.#failing.delete(roomId);
      return events;
    } catch (error) {
      this.#failing.add(roomId);
      if (!once || isOfNoGap(error, signal)) throw error;
      this.#parts.logger.warn(`Events that ${roomId} has missed cannot be fetched now: ${messageOf(error)}`);
      return timeline;
    }
  }

  #event(roomId: string, event: RoomEvent): void {
    const { handled } = this.#parts;
    const eventId = event.event_id;
    this.#once(eventId, () => {
      if (this.#baseline || event.type === "m.room.encrypted" || handled.has(eventId)) return;
      const entry = { roomId, event, late: false };
      const delivery: Delivery = { kind: "event", event: incoming(entry, event.type, event.content, undefined) };
      this.#deliver(roomId, delivery, () => handled.add(eventId));
    });
  }

  #stripped(room: StrippedUpdate): void {
    const { handled, userId } = this.#parts;
    const name = strippedName(room, userId);
    this.#once(name, () => {
      if (!handled.has(name)) this.#deliver(room.roomId, strippedDelivery(room, userId), () => handled.add(name));
    });
  }

  /** What is not done when the store is back comes again from there, and what its handlers failed at too often. */
  #deliver(roomId: string, delivery: Delivery, onDone: () => void): void {
    const done = async (outcome: "done" | "set aside"): Promise<void> => {
      if (outcome === "done") onDone();
    };
    // Held from now on: where it comes again from the store before its turn here, it is the same hand-over.
    const handOver = this.#parts.handOver(delivery);
    this.#lanes.add(roomId, () =>
      handOverPersistently(this.#parts, delivery, done, this.#stopped).finally(() => handOver.release()),
    );
  }

  /** Forgets what the last response did not have any more, where that is much. */
  #forget(): void {
    if (this.#seen.size <= MOST_SEEN) return;
    for (const name of this.#seen) {
      if (this.#now.has(name)) continue;
      this.#seen.delete(name);
      this.#parts.handled.delete(name);
    }
  }

  #once(name: string, work: () => void): void {
    this.#now.add(name);
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    work();
  }
}
