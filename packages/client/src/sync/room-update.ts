import type { JsonObject } from "../http/homeserver-api.ts";

/** An event of a room as the homeserver gave it, its shape checked as far as this says. */
export interface RoomEvent extends JsonObject {
  readonly type: string;
  readonly event_id: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly origin_server_ts: number;
  /** There for state events only. */
  readonly state_key?: string;
  readonly unsigned?: JsonObject;
}

/** An event of the stripped state that comes with an invitation or a knock. */
export interface StrippedEvent extends JsonObject {
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly state_key: string;
}

/** What one sync response says of a room where this user is joined, or was. */
export interface RoomUpdate {
  readonly roomId: string;
  readonly membership: "join" | "leave";
  /** State before the timeline, oldest first. State events in the timeline come after it, and count too. */
  readonly state: readonly RoomEvent[];
  /** Oldest first. */
  readonly timeline: readonly RoomEvent[];
  /** Whether events between the last response and the timeline were left out; changes of members among them may be missing from `state`. */
  readonly limited: boolean;
  /** Where the timeline begins; events before it are fetched from here. */
  readonly prevBatch: string | undefined;
  /** Whether something malformed was left out, which may have been state. Default: `false`. */
  readonly incomplete?: boolean;
}

/** What one sync response says of an invitation or a knock. */
export interface StrippedUpdate {
  readonly roomId: string;
  readonly membership: "invite" | "knock";
  readonly state: readonly StrippedEvent[];
}

/**
 * What tells invitations and knocks apart, as their ids do events: stripped
 * state need not have one. The same person may ask twice in the same words, so
 * that it counts within one outage of the store alone.
 */
export function strippedName({ roomId, membership, state }: StrippedUpdate, userId: string): string {
  const own = ownMembership(state, userId);
  return `${membership} ${roomId} ${JSON.stringify([own?.sender, own?.event_id, own?.content])}`;
}

/** Whether a name is a {@link strippedName}, and not the id of an event. */
export function isStrippedName(name: string): boolean {
  return /^(invite|knock) /.test(name);
}

/** What the stripped state says of this user, such as who invites. */
export function ownMembership(state: readonly StrippedEvent[], userId: string): StrippedEvent | undefined {
  return state.find(({ type, state_key }) => type === "m.room.member" && state_key === userId);
}
