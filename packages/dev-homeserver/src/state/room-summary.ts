import type { JsonObject } from "../http/json.ts";
import type { Room } from "./room.ts";

/** How a room without a name is to be called, and how many are in it. */
export interface Summary extends JsonObject {
  readonly "m.heroes"?: readonly string[];
}

/** The summary of a room for one of its members, whose own name is none that the room could be called by. */
export function summaryOf(room: Room, userId: string): Summary {
  const [joined, invited] = [room.usersWith("join"), room.usersWith("invite")];
  const others = [...joined, ...invited].filter((member) => member !== userId);
  const gone = [...room.usersWith("leave"), ...room.usersWith("ban")].filter((member) => member !== userId);
  const isNamed = Boolean(
    room.stateEvent("m.room.name")?.content.name || room.stateEvent("m.room.canonical_alias")?.content.alias,
  );
  return {
    ...(isNamed ? {} : { "m.heroes": (others.length > 0 ? others : gone).slice(0, 5) }),
    "m.joined_member_count": joined.length,
    "m.invited_member_count": invited.length,
  };
}
