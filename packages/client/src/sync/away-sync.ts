import { type Delivery, inviteOf } from "../delivery/hand-over.ts";
import { incoming } from "../delivery/inbox-delivery.ts";
import { Lanes } from "../delivery/lanes.ts";
import { handOverPersistently, type PersistenceParts } from "../delivery/persistent-hand-over.ts";
import type { RoomsInSync } from "./durable-sync.ts";
import type { RoomEvent } from "./room-update.ts";
import type { SyncTarget } from "./sync-loop.ts";
import type { SyncUpdate } from "./sync-response.ts";
import { newEvents, type TimelineParts } from "./timeline.ts";

/** What a sync without the store works on. */
export interface AwaySyncParts extends TimelineParts, PersistenceParts {
  readonly rooms: RoomsInSync;
  /** The token committed last in the preferred store, where this process knows it. */
  readonly heldToken: string | undefined;
  /** What was delivered meanwhile, so that it is not delivered again when the store is back. */
  readonly handled: Set<string>;
  readonly concurrency: number;
  readonly pauseMs: number;
  /** Aborts when the client closes. Until then handlers are tried again, although the store may be back meanwhile. */
  readonly closing: AbortSignal;
}

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
  readonly #seen = new Set<string>();
  #baseline: boolean;

  constructor(parts: AwaySyncParts) {
    this.#parts = parts;
    this.#lanes = new Lanes(parts.concurrency);
    // Without a token the first response is history: what comes after it is news.
    this.#baseline = parts.heldToken === undefined;
    this.ended = this.#ending.signal;
  }

  get pauseMs(): number {
    return this.#parts.pauseMs;
  }

  async since(): Promise<string | undefined> {
    return this.#parts.heldToken;
  }

  async take(update: SyncUpdate, since: string | undefined, signal: AbortSignal): Promise<void> {
    const { rooms } = this.#parts;
    for (const room of update.rooms) {
      await rooms.takeIn(room, undefined);
      const events = since === undefined ? room.timeline : await newEvents(this.#parts, room, since, signal);
      for (const event of events) this.#event(room.roomId, event);
    }
    for (const room of update.stripped) {
      await rooms.takeInStripped(room, undefined);
      this.#once(`${room.membership} ${room.roomId}`, () => {
        this.#deliver(room.roomId, { kind: "invite", event: inviteOf(room, this.#parts.userId) });
      });
    }
    this.#baseline = false;
  }

  /** Takes nothing more in, and leaves what handlers are at to end. */
  end(): void {
    this.#ending.abort();
  }

  #event(roomId: string, event: RoomEvent): void {
    this.#once(event.event_id, () => {
      if (this.#baseline || event.type === "m.room.encrypted") return;
      this.#parts.handled.add(event.event_id);
      const entry = { roomId, event, late: false };
      this.#deliver(roomId, { kind: "event", event: incoming(entry, event.type, event.content, undefined) });
    });
  }

  #deliver(roomId: string, delivery: Delivery): void {
    this.#lanes.add(roomId, () => handOverPersistently(this.#parts, delivery, async () => {}, this.#parts.closing));
  }

  #once(name: string, work: () => void): void {
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    work();
  }
}
