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
  /** The event that it takes the content from. */
  readonly redacts?: string | undefined;
  /** With the transaction id, for the sender's own sync. */
  readonly origin?: { readonly device: Device; readonly txnId: string } | undefined;
}

/** An event of a room, at its position in the stream. */
export interface RoomEvent extends NewEvent {
  readonly eventId: string;
  readonly sender: string;
  readonly position: number;
  readonly timestamp: number;
  /** The state that it took the place of. */
  readonly replaces: RoomEvent | undefined;
  /** The room's history visibility where this event stands. */
  readonly visibility: string;
}

/** One room: its events in order, and the state that they add up to. */
export class Room {
  readonly roomId: string;
  readonly version: string;
  readonly #stream: Stream;
  readonly #events: RoomEvent[] = [];
  readonly #byId = new Map<string, RoomEvent>();
  readonly #state = new Map<string, RoomEvent>();
  readonly #memberships = new Map<string, Member[]>();
  readonly #redactions = new Map<string, RoomEvent>();

  constructor(roomId: string, version: string, stream: Stream) {
    this.roomId = roomId;
    this.version = version;
    this.#stream = stream;
  }

  /** Appends an event. The caller has made sure that its sender may. */
  append(sender: string, event: NewEvent): RoomEvent {
    const replaces = event.stateKey === undefined ? undefined : this.stateEvent(event.type, event.stateKey);
    const appended: RoomEvent = {
      ...event,
      eventId: `$${randomBytes(32).toString("base64url")}`,
      sender,
      position: this.#stream.advance(),
      timestamp: Date.now(),
      replaces,
      visibility: this.#visibilityOf(event),
    };
    this.#events.push(appended);
    this.#byId.set(appended.eventId, appended);
    if (event.redacts !== undefined) this.#redactions.set(event.redacts, appended);
    if (event.stateKey !== undefined) {
      this.#state.set(stateId(event.type, event.stateKey), appended);
      if (event.type === "m.room.member") this.#setMember(event.stateKey, appended);
    }
    return appended;
  }

  /** The state event of a type and key; `undefined` where there never was one. */
  stateEvent(type: string, stateKey = ""): RoomEvent | undefined {
    return this.#state.get(stateId(type, stateKey));
  }

  /** What a state event was after all events up to a position; `undefined` where there was none. */
  stateEventAt(type: string, stateKey: string, upTo: number): RoomEvent | undefined {
    let event = this.stateEvent(type, stateKey);
    while (event !== undefined && event.position > upTo) event = event.replaces;
    return event;
  }

  /**
   * The state as it was after all events up to a position, without what was
   * so before another one already. Default: all of it, as it is now.
   */
  state(upTo = Number.POSITIVE_INFINITY, after = 0): RoomEvent[] {
    if (upTo === Number.POSITIVE_INFINITY && after === 0) return [...this.#state.values()];
    const state = new Map<string, RoomEvent>();
    for (const event of this.events(after, upTo)) {
      if (event.stateKey !== undefined) state.set(stateId(event.type, event.stateKey), event);
    }
    return [...state.values()];
  }

  /** Events behind one position and up to another, in order. */
  events(after: number, upTo = Number.POSITIVE_INFINITY): RoomEvent[] {
    return this.#events.slice(this.#indexBehind(after), this.#indexBehind(upTo));
  }

  event(eventId: string): RoomEvent | undefined {
    return this.#byId.get(eventId);
  }

  /** The event that took this one's content away. */
  redactionOf(eventId: string): RoomEvent | undefined {
    return this.#redactions.get(eventId);
  }

  /** What a user is to this room; `undefined` for one that it never heard of. */
  membership(userId: string): Member | undefined {
    return this.#memberships.get(userId)?.at(-1);
  }

  isJoined(userId: string): boolean {
    return this.membership(userId)?.membership === "join";
  }

  /** What a user was to this room after all events up to a position. */
  membershipAt(userId: string, position: number): Membership | undefined {
    return this.#memberships.get(userId)?.findLast(({ since }) => since <= position)?.membership;
  }

  /** Whether a user came to be joined behind a position. */
  joinsAfter(userId: string, position: number): boolean {
    const members = this.#memberships.get(userId) ?? [];
    return members.some(({ membership, since }) => membership === "join" && since > position);
  }

  /** Everybody that the room has heard of, in the order in which it did. */
  members(): Map<string, Member> {
    const members = new Map<string, Member>();
    for (const [userId, history] of this.#memberships) {
      const member = history.at(-1);
      if (member !== undefined) members.set(userId, member);
    }
    return members;
  }

  /** Who has this membership now. */
  usersWith(membership: Membership): string[] {
    return [...this.members()].filter(([, member]) => member.membership === membership).map(([userId]) => userId);
  }

  #setMember(userId: string, event: RoomEvent): void {
    const membership = event.content.membership as Membership;
    const history = this.#memberships.get(userId) ?? [];
    this.#memberships.set(userId, history);
    // A new name or avatar is not a new membership.
    if (history.at(-1)?.membership === membership) return;
    history.push({ membership, since: event.position });
  }

  #visibilityOf(event: NewEvent): string {
    const known = this.stateEvent("m.room.history_visibility")?.content.history_visibility;
    const before = typeof known === "string" ? known : "shared";
    if (event.type !== "m.room.history_visibility" || event.stateKey !== "") return before;
    // The change itself is seen by whoever may see what is before it or what is behind it.
    const after = event.content.history_visibility;
    return typeof after === "string" && openness(after) > openness(before) ? after : before;
  }

  #indexBehind(position: number): number {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const event = this.#events[middle];
      if (event !== undefined && event.position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function openness(visibility: string): number {
  return ["joined", "invited", "shared", "world_readable"].indexOf(visibility);
}

function stateId(type: string, stateKey: string): string {
  return JSON.stringify([type, stateKey]);
}
