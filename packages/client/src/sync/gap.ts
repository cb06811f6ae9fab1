import type { HomeserverApi } from "../http/homeserver-api.ts";
import { isHomeserverError } from "../http/homeserver-error.ts";
import { arrayOf, textOf } from "../http/json.ts";
import { path } from "../http/path.ts";
import type { RoomEvent } from "./room-update.ts";
import { isRoomEvent } from "./sync-response.ts";

/** Where events are missing, and how many of them are fetched at most. */
export interface Gap {
  readonly roomId: string;
  /** Where the timeline begins that is known. */
  readonly from: string;
  /** The token of the sync before: what is older has been seen. */
  readonly to: string;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether each request is made once, and not waited for longer than 10 seconds. Default: `false`. */
  readonly once?: boolean | undefined;
}

/** The events of a gap. */
export interface Filled {
  /** Oldest first. */
  readonly events: readonly RoomEvent[];
  /** Whether older events of the gap were left out: they are more than the limit, or the homeserver does not give them. */
  readonly cut: boolean;
}

const PAGE = 100;
/** Pages in a row without any event of the room: a homeserver that gives so many has nothing to give. */
const MOST_EMPTY = 10;

/**
 * Fetches the events that a sync response left out of a room's timeline,
 * from the newest back, up to the limit.
 *
 * @throws what `HomeserverApi.request` throws where the homeserver cannot be asked, or refuses to answer now
 */
export async function fillGap(api: HomeserverApi, { roomId, from, to, limit, signal, once }: Gap): Promise<Filled> {
  const newestFirst: RoomEvent[] = [];
  const patience = once === true ? ({ retry: "never", timeoutMs: 10_000 } as const) : {};
  let token = from;
  let empty = 0;
  while (newestFirst.length < limit) {
    const query = { dir: "b", from: token, to, limit: Math.min(PAGE, limit - newestFirst.length) };
    let events: readonly unknown[];
    let next: string | undefined;
    try {
      const page = await api.request("GET", path`/v3/rooms/${roomId}/messages`, { query, signal, ...patience });
      events = arrayOf(page.chunk);
      next = textOf(page.end);
    } catch (error) {
      if (isNotGiven(error)) return { events: newestFirst.reverse(), cut: true };
      throw error;
    }
    const more = events.filter(isRoomEvent);
    newestFirst.push(...more);
    empty = more.length === 0 ? empty + 1 : 0;
    if (empty === MOST_EMPTY) return { events: newestFirst.reverse(), cut: true };
    if (next === undefined || next === to || next === token) return { events: newestFirst.reverse(), cut: false };
    // A page may be empty where everything in it was filtered out; the token goes on all the same.
    token = next;
  }
  return { events: newestFirst.reverse(), cut: true };
}

/** Only these say that there is nothing for us; a rate limit or a token that has ended says nothing of the events. */
function isNotGiven(error: unknown): boolean {
  return isHomeserverError(error, "M_FORBIDDEN") || isHomeserverError(error, "M_NOT_FOUND");
}

/** Whether a failure is none of the gap's: the client ends, or is logged out. */
export function isOfNoGap(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || isHomeserverError(error, "M_UNKNOWN_TOKEN");
}
