import { CursorState } from "../handles/cursor-state.ts";
import type { SourceState } from "../handles/index-state.ts";
import { type CursorDirection, rangeOf } from "../operations/entries.ts";
import { Iterate } from "../operations/iterate.ts";
import { RequestState } from "../request/request-state.ts";
import type { IDBRequest } from "./idb-request.ts";
import { requireUsable, toBounds } from "./query.ts";

/** Opens a cursor over a source. */
export function openCursor(
  source: SourceState,
  query: unknown,
  direction: CursorDirection,
  keysOnly: boolean,
): IDBRequest {
  requireUsable(source);
  const cursor = new CursorState(source, direction, rangeOf(source, toBounds(query)), keysOnly);
  const request = new RequestState(source.target, source.transaction);
  cursor.request = request;
  source.transaction.place(new Iterate(cursor, { count: 1 }), request);
  return request.target;
}
