import type { JsonObject } from "../http/json.ts";
import type { Stream } from "./stream.ts";

interface Entry {
  readonly content: JsonObject;
  readonly position: number;
}

/** What users keep here for themselves: of their account, and of each room. */
export class AccountData {
  readonly #stream: Stream;
  /** By user, then by room (`""` is the account), then by type. */
  readonly #entries = new Map<string, Map<string, Map<string, Entry>>>();

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Keeps an object under a type, in the place of the former one. `roomId` is empty for the account's. */
  set(userId: string, roomId: string, type: string, content: JsonObject): void {
    const rooms = this.#entries.get(userId) ?? new Map<string, Map<string, Entry>>();
    this.#entries.set(userId, rooms);
    const types = rooms.get(roomId) ?? new Map<string, Entry>();
    rooms.set(roomId, types);
    types.set(type, { content, position: this.#stream.advance() });
  }

  get(userId: string, roomId: string, type: string): JsonObject | undefined {
    return this.#entries.get(userId)?.get(roomId)?.get(type)?.content;
  }

  /** What was set behind a position, as events. */
  after(userId: string, roomId: string, position: number): { readonly type: string; readonly content: JsonObject }[] {
    const types = this.#entries.get(userId)?.get(roomId) ?? new Map<string, Entry>();
    const isNew = [...types].filter(([, entry]) => entry.position > position);
    return isNew.map(([type, { content }]) => ({ type, content }));
  }
}
