import { randomBytes } from "node:crypto";
import type { JsonObject } from "../http/json.ts";
import type { Device } from "./accounts.ts";
import type { Stream } from "./stream.ts";

export type Membership = "join" | "invite" | "leave" | "ban" | "knock";

/** A user's membership, and the position at which it became what it is. */
export interface Member {
  readonly membership: Membership;
  readonly since: number;
}

/** What a sender gives of an event. */
export interface NewEvent {
  readonly type: string;
  readonly content: JsonObject;
  /** Makes it a state event. */
  readonly stateKey?: string | undefined;
  /** With the transaction id, for the sender's own sync. */
  readonly origin?: { readonly device: Device; readonly txnId: string } | undefined;
}

/** An event of a room, at its position in the stream. */
export interface RoomEvent extends NewEvent {
  readonly eventId: string;
  readonly sender: string;
  readonly position: number;
  readonly timestamp: number;
}

/** One room: its events in order, and the state that they add up to. */
export class Room {
  readonly roomId: string;
  readonly #stream: Stream;
  readonly #events: RoomEvent[] = [];
  readonly #state = new Map<string, RoomEvent>();
  readonly #members = new Map<string, Member>();

  constructor(roomId: string, stream: Stream) {
    this.roomId = roomId;
    this.#stream = stream;
  }

  /** Appends an event. The caller has made sure that its sender may. */
  append(sender: string, event: NewEvent): RoomEvent {
    const appended: RoomEvent = {
      ...event,
      eventId: `$${randomBytes(32).toString("base64url")}`,
      sender,
      position: this.#stream.advance(),
      timestamp: Date.now(),
    };
    this.#events.push(appended);
    if (event.stateKey !== undefined) {
      this.#state.set(stateId(event.type, event.stateKey), appended);
      if (event.type === "m.room.member") this.#setMember(event.stateKey, appended);
    }
    return appended;
  }

  /** The state event of a type and key; `undefined` where there never was one. */
  stateEvent(type: string, stateKey: string): RoomEvent | undefined {
    return this.#state.get(stateId(type, stateKey));
  }

  /** The state as it was after all events up to this position. Default: as it is now. */
  state(upTo = Number.POSITIVE_INFINITY): RoomEvent[] {
    const state = new Map<string, RoomEvent>();
    for (const event of this.#events) {
      if (event.position > upTo) break;
      if (event.stateKey !== undefined) state.set(stateId(event.type, event.stateKey), event);
    }
    return [...state.values()];
  }

  /** Events behind one position and up to another, in order. */
  events(after: number, upTo = Number.POSITIVE_INFINITY): RoomEvent[] {
    return this.#events.filter((event) => event.position > after && event.position <= upTo);
  }

  event(eventId: string): RoomEvent | undefined {
    return this.#events.find((event) => event.eventId === eventId);
  }

  /** What a user is to this room; `undefined` for one that it never heard of. */
  membership(userId: string): Member | undefined {
    return this.#members.get(userId);
  }

  members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  #setMember(userId: string, event: RoomEvent): void {
    const membership = event.content.membership as Membership;
    // A new name or avatar is not a new membership.
    if (this.#members.get(userId)?.membership === membership) return;
    this.#members.set(userId, { membership, since: event.position });
  }
}

/** An event as the Client-Server API shows it to one device; without `room_id`, as sync leaves it out. */
export function clientEvent(event: RoomEvent, viewer: Device): JsonObject {
  const own = event.origin?.device === viewer ? { transaction_id: event.origin.txnId } : {};
  return {
    type: event.type,
    event_id: event.eventId,
    sender: event.sender,
    origin_server_ts: event.timestamp,
    content: event.content,
    unsigned: { age: Date.now() - event.timestamp, ...own },
    ...(event.stateKey === undefined ? {} : { state_key: event.stateKey }),
  };
}

function stateId(type: string, stateKey: string): string {
  return JSON.stringify([type, stateKey]);
}
