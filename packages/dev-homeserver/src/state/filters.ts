import { isObject, type JsonObject, objectIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { EventFilter } from "./event-filter.ts";

/** What a sync is to tell of. */
export interface SyncFilter {
  /** Of rooms, by its `rooms` and `not_rooms`. */
  readonly rooms: EventFilter;
  /** Whether rooms that were left before the first sync are told of. */
  readonly includeLeave: boolean;
  readonly timeline: EventFilter;
  readonly state: EventFilter;
  readonly roomAccountData: EventFilter;
  readonly accountData: EventFilter;
}

/** Filters that clients have left here. */
export class Filters {
  readonly #filters: { readonly userId: string; readonly filter: JsonObject }[] = [];

  /**
   * Keeps a filter; answers with its id.
   *
   * @throws MatrixError `M_BAD_JSON` for one that is malformed
   */
  add(userId: string, filter: JsonObject): string {
    syncFilter(filter);
    return String(this.#filters.push({ userId, filter }) - 1);
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  get(userId: string, filterId: string): JsonObject {
    const filter = this.#find(userId, filterId);
    if (filter === undefined) throw new MatrixError(404, "M_NOT_FOUND", "there is no such filter");
    return filter;
  }

  /**
   * What the `filter` parameter of a sync asks for, be it a filter's id or a filter itself.
   *
   * @throws MatrixError `M_INVALID_PARAM`, `M_NOT_JSON`, `M_BAD_JSON`
   */
  forSync(userId: string, parameter: string | null): SyncFilter {
    if (parameter === null) return syncFilter({});
    if (parameter.startsWith("{")) return syncFilter(parse(parameter));
    const filter = this.#find(userId, parameter);
    if (filter === undefined) throw new MatrixError(400, "M_INVALID_PARAM", "No such filter");
    return syncFilter(filter);
  }

  #find(userId: string, filterId: string): JsonObject | undefined {
    const known = this.#filters[Number(filterId)];
    return known?.userId === userId ? known.filter : undefined;
  }
}

/** The filter of events in a query's `filter`; one that lets everything through where there is none. */
export function eventFilterIn(query: URLSearchParams): EventFilter {
  const text = query.get("filter");
  return new EventFilter(text === null ? {} : parse(text));
}

function syncFilter(definition: JsonObject): SyncFilter {
  const room = objectIn(definition, "room");
  return {
    rooms: new EventFilter(room),
    includeLeave: room.include_leave === true,
    timeline: new EventFilter(objectIn(room, "timeline")),
    state: new EventFilter(objectIn(room, "state")),
    roomAccountData: new EventFilter(objectIn(room, "account_data")),
    accountData: new EventFilter(objectIn(definition, "account_data")),
  };
}

function parse(text: string): JsonObject {
  try {
    const filter: unknown = JSON.parse(text);
    if (isObject(filter)) return filter;
  } catch {
    // Told below, with what is JSON but no object.
  }
  throw new MatrixError(400, "M_NOT_JSON", "the filter is not a JSON object");
}
