import { compareBytes, type KeyRange } from "@holdfast/key-store-core";
import { inRange } from "../storage/long-keys.ts";
import type { WriteWatcher } from "../transaction/changes.ts";
import type { PageSlot, ReadPlan } from "../transaction/read-plan.ts";
import type { TransactionState } from "../transaction/transaction-state.ts";
import { type CursorDirection, type Entry, type RecordSource, readEntries } from "./entries.ts";

/** How many entries a cursor reads at a time: at first, at most, and how many bytes of them. */
const PAGE = { first: 8, most: 256, bytes: 512 * 1024 } as const;

/** The entries that a cursor has read but not reached. Dropped when a write may have changed them. */
export class ReadAhead implements WriteWatcher {
  readonly #source: RecordSource;
  readonly #direction: CursorDirection;
  readonly #withValues: boolean;
  #entries: readonly Entry[] = [];
  #next = 0;
  #limit: number = PAGE.first;
  /** Whether there may be entries behind those that were read. */
  #more = true;
  #planned: PageSlot | undefined;

  constructor(source: RecordSource, direction: CursorDirection, withValues: boolean) {
    this.#source = source;
    this.#direction = direction;
    this.#withValues = withValues;
  }

  /** The next entry of a range that begins behind the last one taken, if it was read already. */
  take(range: KeyRange): Entry | undefined {
    for (; this.#next < this.#entries.length; this.#next += 1) {
      const entry = this.#entries[this.#next];
      if (entry === undefined || !inRange(range, entry.place)) continue;
      this.#next += 1;
      return entry;
    }
    return undefined;
  }

  /** Plans to read the first entries of an object store. */
  plan(plan: ReadPlan, range: KeyRange): void {
    const reverse = !this.#direction.startsWith("next");
    const page = { limit: this.#limit, reverse, keysOnly: !this.#withValues };
    this.#planned = plan.scan(this.#source.store.collection, range, page);
  }

  /** Takes over what a plan has read. */
  accept(transaction: TransactionState): void {
    const planned = this.#planned;
    if (planned === undefined) return;
    this.#planned = undefined;
    this.#entries = planned.records.map(({ key, value }) => ({ key, primaryKey: key, place: key, value }));
    this.#more = this.#entries.length === this.#limit;
    this.#next = 0;
    this.#resize();
    transaction.watch(this);
  }

  /** Whether the range is known to have no more than what was taken. */
  get isAtEnd(): boolean {
    return this.#next >= this.#entries.length && !this.#more;
  }

  /** Reads entries of a range, and answers the first. */
  async read(transaction: TransactionState, range: KeyRange): Promise<Entry | undefined> {
    const { records } = transaction;
    const page = await readEntries(records, this.#source, range, this.#direction, this.#limit, this.#withValues);
    this.#entries = page.entries;
    this.#next = 1;
    this.#more = page.more;
    this.#resize();
    transaction.watch(this);
    return page.entries[0];
  }

  written(collection: string, key: Uint8Array | undefined): void {
    const { store, index } = this.#source;
    if (collection === (index ?? store).collection) {
      // What lies behind the cursor is no concern of what it has read ahead.
      if (key === undefined || this.#isAhead(key)) this.#drop();
    } else if (this.#withValues && collection === store.collection) {
      if (key === undefined || this.#refersTo(key)) this.#drop();
    }
  }

  #drop(): void {
    this.#entries = [];
    this.#next = 0;
    this.#more = true;
  }

  #isAhead(key: Uint8Array): boolean {
    const passed = this.#entries[this.#next - 1];
    if (passed === undefined) return true;
    const order = compareBytes(key, passed.place);
    return this.#direction.startsWith("next") ? order > 0 : order < 0 || this.#direction === "prevunique";
  }

  #refersTo(key: Uint8Array): boolean {
    for (let at = this.#next; at < this.#entries.length; at += 1) {
      const entry = this.#entries[at];
      if (entry !== undefined && compareBytes(entry.primaryKey, key) === 0) return true;
    }
    return false;
  }

  #resize(): void {
    let bytes = 0;
    for (const { place, value } of this.#entries) bytes += place.byteLength + value.byteLength;
    const each = bytes / Math.max(1, this.#entries.length);
    const fitting = Math.max(1, Math.floor(PAGE.bytes / Math.max(1, each)));
    this.#limit = Math.min(this.#limit * 4, PAGE.most, fitting);
  }
}
