import type { Logger } from "@holdfast/key-store-core";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { objectOf } from "../http/json.ts";
import { fillGap } from "./gap.ts";
import type { RoomEvent, RoomUpdate } from "./room-update.ts";

/** What new events are told by. */
export interface TimelineParts {
  readonly api: HomeserverApi;
  readonly userId: string;
  readonly logger: Logger;
  /** How many events that a response left out are fetched, for each room. */
  readonly gapLimit: number;
}

/** Since when the events of a room are asked for. */
export interface Since {
  /** The token of the last sync. */
  readonly token: string;
  /** Whether this user was in the room then: what came before another joining is news too. */
  readonly wasJoined: boolean;
}

/**
 * The events of a room that are news to this device, oldest first: those since
 * the last sync, what the response left out of them included; in a room that
 * was joined meanwhile, those from the joining on.
 *
 * @param once - whether it is not tried again where that fails
 * @throws what `HomeserverApi.request` throws where the homeserver cannot be asked
 */
export async function newEvents(
  { api, userId, logger, gapLimit }: TimelineParts,
  update: RoomUpdate,
  { token: to, wasJoined }: Since,
  signal: AbortSignal | undefined,
  once = false,
): Promise<readonly RoomEvent[]> {
  const { roomId, timeline, limited, prevBatch: from } = update;
  const joinedAt = wasJoined ? -1 : ownJoining(timeline, userId);
  if (joinedAt >= 0) return timeline.slice(joinedAt);
  if (!limited || from === undefined || (update.membership !== "join" && !wasJoined)) return timeline;
  const { events, cut } = await fillGap(api, { roomId, from, to, limit: gapLimit, signal, once });
  const joinedInGap = wasJoined ? -1 : ownJoining(events, userId);
  if (joinedInGap >= 0) return [...events.slice(joinedInGap), ...timeline];
  if (cut)
    logger.warn(
      `More events of ${roomId} were missed than are fetched: those before the last ${events.length} are left out`,
    );
  return [...events, ...timeline];
}

/** The events from this user's last joining on; all where it is not among them. */
export function sinceJoining(events: readonly RoomEvent[], userId: string): readonly RoomEvent[] {
  return events.slice(Math.max(0, ownJoining(events, userId)));
}

/** Where this user has come into the room, the last time; -1 where not among these events. */
function ownJoining(events: readonly RoomEvent[], userId: string): number {
  return events.findLastIndex(
    ({ type, state_key, content, unsigned }) =>
      type === "m.room.member" && state_key === userId && content.membership === "join" && isComing(unsigned),
  );
}

/** Whether a membership is not a change of one's name: where the homeserver tells only that there was one before, it may be. */
function isComing(unsigned: JsonObject | undefined): boolean {
  const before = objectOf(unsigned?.prev_content);
  return before === undefined ? unsigned?.replaces_state === undefined : before.membership !== "join";
}
