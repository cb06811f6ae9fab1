import { type Change, isKeyStoreError } from "@holdfast/key-store-core";
import type { Encryption } from "../crypto/encryption.ts";
import { type ItemRecord, OutboxItem } from "./outbox-item.ts";
import { OutboxRecords, type OutgoingEvent } from "./outbox-record.ts";

/** The outbox in the store of the encryption that runs, whichever that is: stores go away and come back. */
export class OutboxStore {
  readonly #encryption: () => Encryption | undefined;
  readonly #adopt: (event: OutgoingEvent, record: ItemRecord) => void;
  /** What was settled while its record was out of reach: its event id, or `undefined` for what is not to be sent. */
  readonly #settled = new Map<string, string | undefined>();
  #opened: { readonly encryption: Encryption; readonly records: Promise<OutboxRecords> } | undefined;

  /** `adopt` is given what a store holds when it is first seen, oldest first. */
  constructor(encryption: () => Encryption | undefined, adopt: (event: OutgoingEvent, record: ItemRecord) => void) {
    this.#encryption = encryption;
    this.#adopt = adopt;
  }

  /**
   * The records of the encryption that runs now, after what was left there was adopted; `undefined` while there is none.
   *
   * @throws what reads and commits of the store throw
   */
  records(): Promise<OutboxRecords | undefined> {
    const encryption = this.#encryption();
    if (encryption === undefined) return Promise.resolve(undefined);
    if (this.#opened?.encryption !== encryption) {
      const opened = { encryption, records: this.#open(encryption) };
      opened.records.catch(() => {
        if (this.#opened === opened) this.#opened = undefined;
      });
      this.#opened = opened;
    }
    return this.#opened.records;
  }

  /**
   * As {@link records}; `undefined` for a store that has failed too.
   *
   * @throws `ERR_KEY_STORE_CORRUPT`: what is in the outbox must not be passed over
   */
  async recordsOrNone(): Promise<OutboxRecords | undefined> {
    try {
      return await this.records();
    } catch (error) {
      if (!isKeyStoreError(error) || isKeyStoreError(error, "ERR_KEY_STORE_CORRUPT")) throw error;
      return undefined;
    }
  }

  /** The place of an event among these records, which it is given where it has one among others, or none. */
  place(item: OutboxItem, records: OutboxRecords): ItemRecord {
    if (item.record?.records === records) return item.record;
    // What was settled under this name before is not this event.
    this.#settled.delete(item.name);
    item.record = { records, key: records.nextKey() };
    return item.record;
  }

  /** Takes an event out, with its event id if it was sent: now, or when its store is there again. */
  async settle({ name, record, event }: OutboxItem, eventId: string | undefined): Promise<void> {
    if (record === undefined) return;
    const { records, key } = record;
    try {
      if (records.encryption === this.#encryption()) {
        return await records.encryption.commit(records.settle(key, event, eventId));
      }
    } catch (error) {
      if (!isKeyStoreError(error)) throw error;
    }
    this.#settled.set(name, eventId);
  }

  async #open(encryption: Encryption): Promise<OutboxRecords> {
    const records = new OutboxRecords(encryption);
    const changes: Change[] = [];
    // What is not found in the store was never durable: it need not be settled any more.
    const settled = [...this.#settled.keys()];
    for (const { key, event } of await records.load()) {
      const name = OutboxItem.nameOf(event);
      if (this.#settled.has(name)) {
        changes.push(...records.settle(key, event, this.#settled.get(name)));
        settled.push(name);
      } else {
        this.#adopt(event, { records, key });
      }
    }
    if (changes.length > 0) await encryption.commit(changes);
    for (const name of settled) this.#settled.delete(name);
    return records;
  }
}
