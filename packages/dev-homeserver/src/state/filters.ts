import { isObject, type JsonObject, objectIn } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";

/** How many events a timeline holds where no filter says so, as real servers have it. */
const DEFAULT_TIMELINE_LIMIT = 10;

/** Filters that clients have left here. Of a filter only the timeline's limit is obeyed. */
export class Filters {
  readonly #filters: { readonly userId: string; readonly filter: JsonObject }[] = [];

  /** Keeps a filter; answers with its id. */
  add(userId: string, filter: JsonObject): string {
    return String(this.#filters.push({ userId, filter }) - 1);
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  get(userId: string, filterId: string): JsonObject {
    const known = this.#filters[Number(filterId)];
    if (known?.userId !== userId) throw new MatrixError(404, "M_NOT_FOUND", "there is no such filter");
    return known.filter;
  }

  /**
   * The timeline limit that the `filter` parameter of a sync asks for, be it a filter's id or a filter itself.
   *
   * @throws MatrixError `M_NOT_FOUND`, `M_NOT_JSON`
   */
  timelineLimit(userId: string, parameter: string | null): number {
    if (parameter === null) return DEFAULT_TIMELINE_LIMIT;
    const filter = parameter.startsWith("{") ? parse(parameter) : this.get(userId, parameter);
    const limit = objectIn(objectIn(filter, "room"), "timeline").limit;
    return typeof limit === "number" && limit >= 0 ? Math.floor(limit) : DEFAULT_TIMELINE_LIMIT;
  }
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
