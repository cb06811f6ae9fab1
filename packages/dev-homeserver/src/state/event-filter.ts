import { type JsonObject, stringsIn } from "../http/json.ts";

/** What a filter looks at in an event. */
export interface FilteredEvent {
  readonly type: string;
  readonly sender?: string | undefined;
  readonly content: JsonObject;
}

/** One filter of events, as the Client-Server API writes it down: an empty one lets everything through. */
export class EventFilter {
  /** The most events; `undefined` where the filter does not say. */
  readonly limit: number | undefined;
  readonly lazyLoadMembers: boolean;
  readonly includeRedundantMembers: boolean;
  readonly #definition: JsonObject;

  /** @throws MatrixError `M_BAD_JSON` where a field is not what it must be */
  constructor(definition: JsonObject) {
    this.#definition = definition;
    const { limit } = definition;
    this.limit = typeof limit === "number" && limit >= 0 ? Math.floor(limit) : undefined;
    this.lazyLoadMembers = definition.lazy_load_members === true;
    this.includeRedundantMembers = definition.include_redundant_members === true;
    for (const field of ["types", "not_types", "senders", "not_senders", "rooms", "not_rooms"]) {
      stringsIn(definition, field);
    }
  }

  matches({ type, sender, content }: FilteredEvent): boolean {
    const types = (field: string) => this.#list(field)?.some((pattern) => fits(pattern, type));
    if (types("types") === false || types("not_types") === true) return false;
    if (sender !== undefined) {
      if (this.#list("senders")?.includes(sender) === false) return false;
      if (this.#list("not_senders")?.includes(sender) === true) return false;
    }
    const { contains_url: withUrl } = this.#definition;
    return typeof withUrl !== "boolean" || withUrl === (typeof content.url === "string");
  }

  matchesRoom(roomId: string): boolean {
    return this.#list("rooms")?.includes(roomId) !== false && this.#list("not_rooms")?.includes(roomId) !== true;
  }

  #list(field: string): string[] | undefined {
    return this.#definition[field] === undefined ? undefined : stringsIn(this.#definition, field);
  }
}

/** `*` stands for any characters. */
function fits(pattern: string, type: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(type);
}
