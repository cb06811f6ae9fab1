import { type Change, type KeyRange, KeyStoreError } from "@holdfast/key-store-core";
import * as v from "valibot";
import type { Encryption } from "../crypto/encryption.ts";
import { sequenceKey } from "../delivery/inbox.ts";
import type { JsonObject } from "../http/homeserver-api.ts";
import type { SealedCollection } from "../records/sealed-collection.ts";

/** The collection of what is to be sent, in the order in which it is. */
const OUTBOX_COLLECTION = "outbox";

/** The collection of the event ids of what was sent on somebody's behalf. */
const SENT_COLLECTION = "sent";

/** An event as it goes to the homeserver. */
export interface OutgoingEvent {
  readonly roomId: string;
  readonly transactionId: string;
  /** `m.room.encrypted` where it is; `m.room.redaction` goes by an endpoint of its own. */
  readonly type: string;
  readonly content: JsonObject;
  /** The event to redact. */
  readonly redacts?: string | undefined;
  /** On whose behalf it is sent: its event id is then kept. */
  readonly owner?: string | undefined;
}

/** An event that is to be sent, and its key. */
export interface WaitingEvent {
  readonly key: Uint8Array;
  readonly event: OutgoingEvent;
}

const PAGE = 256;

const waiting = v.object({
  v: v.literal(1),
  roomId: v.string(),
  transactionId: v.string(),
  type: v.string(),
  content: v.custom<JsonObject>((value) => typeof value === "object" && value !== null && !Array.isArray(value)),
  redacts: v.optional(v.string()),
  owner: v.optional(v.string()),
});

const sent = v.object({ v: v.literal(1), eventId: v.string() });

/** The outbox in one device store. Making changes does not commit them. */
export class OutboxRecords {
  readonly #waiting: SealedCollection<JsonObject>;
  readonly #sent: SealedCollection<JsonObject>;
  /** Whose store it is. */
  readonly encryption: Encryption;
  #next = 0n;

  constructor(encryption: Encryption) {
    this.encryption = encryption;
    this.#waiting = encryption.collection(OUTBOX_COLLECTION);
    this.#sent = encryption.collection(SENT_COLLECTION);
  }

  /**
   * All that is to be sent, oldest first. To be called once, before anything is put.
   *
   * @throws `ERR_KEY_STORE_CORRUPT`, and what reads of the store throw
   */
  async load(): Promise<WaitingEvent[]> {
    const events: WaitingEvent[] = [];
    let range: KeyRange = {};
    for (;;) {
      const page = await this.#waiting.list(range, { limit: PAGE });
      for (const { key, value } of page) {
        const { v: _, ...event } = parse(waiting, value, "of an event to be sent");
        events.push({ key, event });
      }
      const last = page.at(-1)?.key;
      if (last !== undefined) this.#next = Buffer.from(last).readBigUInt64BE() + 1n;
      if (last === undefined || page.length < PAGE) return events;
      range = { gt: last };
    }
  }

  /** A key behind all that were given before. */
  nextKey(): Uint8Array {
    const key = sequenceKey(this.#next);
    this.#next += 1n;
    return key;
  }

  put(key: Uint8Array, event: OutgoingEvent): Change {
    return this.#waiting.put(key, { v: 1, ...event });
  }

  /** Takes an event out; its event id, if it has one, is kept for its owner, if it has one. */
  settle(key: Uint8Array, event: OutgoingEvent, eventId: string | undefined): Change[] {
    const gone = this.#waiting.delete(key);
    if (event.owner === undefined || eventId === undefined) return [gone];
    return [gone, this.#sent.put(this.#sentKey(event.owner, event), { v: 1, eventId })];
  }

  /** The event id of what was sent for an owner; `undefined` where nothing was. */
  async sent(owner: string, event: Pick<OutgoingEvent, "roomId" | "transactionId">): Promise<string | undefined> {
    const value = await this.#sent.get(this.#sentKey(owner, event));
    return value === undefined ? undefined : parse(sent, value, "of an event that was sent").eventId;
  }

  /** Forgets all that was sent for an owner. */
  forgetSent(owner: string): Change {
    const prefix = this.#sent.keyOf("owner", owner);
    return this.#sent.deleteRange({ gte: prefix, lte: Buffer.concat([prefix, Buffer.alloc(64, 0xff)]) });
  }

  #sentKey(owner: string, { roomId, transactionId }: Pick<OutgoingEvent, "roomId" | "transactionId">): Uint8Array {
    return Buffer.concat([this.#sent.keyOf("owner", owner), this.#sent.keyOf("event", roomId, transactionId)]);
  }
}

function parse<T extends v.GenericSchema>(schema: T, value: unknown, what: string): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw new KeyStoreError("ERR_KEY_STORE_CORRUPT", `the record ${what} cannot be read`);
  return parsed.output;
}
