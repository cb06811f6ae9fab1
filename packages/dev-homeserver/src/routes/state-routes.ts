import type { AuthenticatedCall } from "../http/call.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { authenticated, jsonContent, type Route } from "../http/router.ts";
import { eventInRoom } from "../state/event-view.ts";
import type { Room, RoomEvent } from "../state/room.ts";
import { parseRoomToken } from "../state/sync-token.ts";
import { parameter } from "./parameter.ts";
import type { Services } from "./services.ts";

const ROOM = "/_matrix/client/v3/rooms/{roomId}";

/** Reading the state of rooms, and who is in them. Who has left sees them as they were then. */
export function stateRoutes({ rooms, profiles }: Services): Route[] {
  const state = (call: AuthenticatedCall, at?: number): { readonly room: Room; readonly events: RoomEvent[] } => {
    const { room, upTo } = rooms.readable(call.device.userId, parameter(call, "roomId"));
    return { room, events: room.state(Math.min(upTo, at ?? upTo)) };
  };
  return [
    authenticated("GET", `${ROOM}/state`, (call) => {
      const { room, events } = state(call);
      return jsonContent(events.map((event) => eventInRoom(room, event, call.device)));
    }),
    authenticated("GET", `${ROOM}/state/{eventType}/{stateKey?}`, (call) => {
      const [type, stateKey] = [parameter(call, "eventType"), parameter(call, "stateKey")];
      const { room, events } = state(call);
      const event = events.find((each) => each.type === type && each.stateKey === stateKey);
      if (event === undefined) throw new MatrixError(404, "M_NOT_FOUND", "Event not found.");
      return call.query.get("format") === "event" ? eventInRoom(room, event, call.device) : event.content;
    }),
    authenticated("GET", `${ROOM}/members`, (call) => {
      const { query, device } = call;
      const at = query.get("at");
      const [only, not] = [query.get("membership"), query.get("not_membership")];
      const { room, events } = state(call, at === null ? undefined : parseRoomToken(at));
      const members = events.filter(({ type, content: { membership } }) => {
        return type === "m.room.member" && (only === null || membership === only) && membership !== not;
      });
      return { chunk: members.map((event) => eventInRoom(room, event, device)) };
    }),
    authenticated("GET", `${ROOM}/joined_members`, (call) => {
      const room = rooms.joined(call.device.userId, parameter(call, "roomId"));
      const shown = room.usersWith("join").map((userId) => {
        const { displayname, avatar_url } = profiles.find(userId);
        return [userId, { display_name: displayname ?? null, avatar_url: avatar_url ?? null }];
      });
      return { joined: Object.fromEntries(shown) };
    }),
  ];
}
