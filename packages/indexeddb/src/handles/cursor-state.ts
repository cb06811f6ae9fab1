import type { KeyRange } from "@holdfast/key-store-core";
import { IDBCursor, IDBCursorWithValue } from "../idl/idb-cursor.ts";
import { internal } from "../idl/shape.ts";
import type { CursorDirection, Entry } from "../operations/entries.ts";
import { ReadAhead } from "../operations/read-ahead.ts";
import type { RequestState } from "../request/request-state.ts";
import type { SourceState } from "./index-state.ts";

/** A record that a cursor has reached, decoded. */
export interface Arrival {
  readonly entry: Entry;
  readonly key: unknown;
  readonly primaryKey: unknown;
  /** Undefined where the cursor is one of keys only. */
  readonly value: unknown;
}

/** The inner side of an `IDBCursor`. https://www.w3.org/TR/IndexedDB-3/#cursor-construct */
export class CursorState {
  readonly target: IDBCursor;
  readonly source: SourceState;
  readonly direction: CursorDirection;
  /** The whole range, of the keys of the source's collection. */
  readonly range: KeyRange;
  readonly keysOnly: boolean;
  readonly ahead: ReadAhead;
  /** Where it stands; undefined before the first step. */
  position: Entry | undefined;
  /** False while a step is under way, and behind the end. */
  gotValue = false;
  /** Of the record it stands on; undefined behind the end. */
  key: unknown;
  primaryKey: unknown;
  value: unknown;
  /** Set by who makes it: the request that it was asked by. */
  request!: RequestState; // a request needs its source, which is made first

  constructor(source: SourceState, direction: CursorDirection, range: KeyRange, keysOnly: boolean) {
    this.source = source;
    this.direction = direction;
    this.range = range;
    this.keysOnly = keysOnly;
    this.target = keysOnly ? new IDBCursor(internal, this) : new IDBCursorWithValue(internal, this);
    this.ahead = new ReadAhead(source, direction, !keysOnly);
  }

  /** Moves to a record, or behind the end. */
  moveTo(arrival: Arrival | undefined): void {
    if (arrival === undefined) {
      this.key = undefined;
      this.primaryKey = undefined;
      this.value = undefined;
      return;
    }
    this.position = arrival.entry;
    this.key = arrival.key;
    this.primaryKey = arrival.primaryKey;
    this.value = arrival.value;
    this.gotValue = true;
  }
}
