import type { JsonObject } from "../http/json.ts";
import type { RoomEvent } from "./events.ts";
import { type HomeserverClient, path } from "./homeserver-client.ts";

type EventInRoom = Omit<RoomEvent, "room_id">;

interface JoinedRoom {
  readonly timeline?: {
    readonly events?: readonly EventInRoom[];
    readonly limited?: boolean;
    readonly prev_batch?: string;
  };
  readonly state?: { readonly events?: readonly EventInRoom[] };
}

/** What a party looks at in the answer to a sync; a homeserver may leave any of it out. */
export interface SyncResponse {
  readonly next_batch: string;
  readonly rooms?: {
    readonly join?: Readonly<Record<string, JoinedRoom>>;
    readonly invite?: Readonly<Record<string, JsonObject>>;
  };
  readonly to_device?: { readonly events?: readonly JsonObject[] };
  readonly device_lists?: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
  readonly device_one_time_keys_count?: Readonly<Record<string, number>>;
  readonly device_unused_fallback_key_types?: readonly string[];
}

/**
 * Every event of the joined rooms' timelines that is no state, oldest first in
 * each room. What a limited timeline leaves out is fetched, back to `since`.
 */
export async function messageEvents(
  client: HomeserverClient,
  response: SyncResponse,
  since: string | undefined,
): Promise<RoomEvent[]> {
  const messages: RoomEvent[] = [];
  for (const [roomId, { timeline }] of Object.entries(response.rooms?.join ?? {})) {
    const events = (timeline?.events ?? []).map((event) => ({ ...event, room_id: roomId }));
    const gap = timeline?.limited === true && since !== undefined && timeline.prev_batch !== undefined;
    const missed = gap ? await history(client, roomId, { from: timeline.prev_batch, to: since }) : [];
    messages.push(...[...missed, ...events].filter((event) => event.state_key === undefined));
  }
  return messages;
}

/** Who is joined or invited to a room, by the member events of a response. */
export function newMembers(response: SyncResponse): string[] {
  const members = new Set<string>();
  for (const { state, timeline } of Object.values(response.rooms?.join ?? {})) {
    for (const event of [...(state?.events ?? []), ...(timeline?.events ?? [])]) {
      const isMember = event.content.membership === "join" || event.content.membership === "invite";
      if (event.type === "m.room.member" && event.state_key !== undefined && isMember) members.add(event.state_key);
    }
  }
  return [...members];
}

/** A room's events between two tokens, oldest first; of the whole room where there are none. */
export async function history(
  client: HomeserverClient,
  roomId: string,
  range: { readonly from?: string; readonly to?: string } = {},
): Promise<RoomEvent[]> {
  const events: RoomEvent[] = [];
  let from = range.from;
  do {
    const query = new URLSearchParams({
      dir: "b",
      limit: "100",
      ...(from && { from }),
      ...(range.to && { to: range.to }),
    });
    const page = await client.call("GET", `${path("rooms", roomId, "messages")}?${query}`);
    events.push(...(page.chunk as RoomEvent[]));
    from = page.end as string | undefined;
  } while (from !== undefined);
  return events.reverse();
}
