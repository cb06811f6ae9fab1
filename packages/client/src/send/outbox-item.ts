import { MatrixClientError } from "../errors.ts";
import { abortable } from "./abortable.ts";
import type { OutboxRecords, OutgoingEvent } from "./outbox-record.ts";

/** What the homeserver called an event. */
export interface Sent {
  readonly eventId: string;
}

/** Where an event's record is: in which store, and under which key. */
export interface ItemRecord {
  readonly records: OutboxRecords;
  readonly key: Uint8Array;
}

/** An event on its way, and those who wait for it. */
export class OutboxItem {
  /** Its record in a store; `undefined` while it has none. */
  record: ItemRecord | undefined;
  /** Whether it is written down as it goes to the homeserver, or need not be. */
  ready: boolean;
  /** Whether it is written down, so that the next process sends it if this one does not. */
  written: boolean;
  readonly #settled = Promise.withResolvers<Sent>();
  readonly #given = new AbortController();
  #event: OutgoingEvent;
  #disowned = false;
  #callers = 0;

  constructor(event: OutgoingEvent, record?: ItemRecord) {
    this.#event = event;
    this.record = record;
    this.ready = record !== undefined;
    this.written = this.ready;
    // Of an event left from an earlier process nobody waits to hear.
    this.#settled.promise.catch(() => {});
  }

  /** Tells events apart: a transaction id counts within its room. */
  static nameOf({ roomId, transactionId }: Pick<OutgoingEvent, "roomId" | "transactionId">): string {
    return JSON.stringify([roomId, transactionId]);
  }

  /** As it was given, until it is {@link ready}; then as it goes to the homeserver. */
  get event(): OutgoingEvent {
    return this.#event;
  }

  /** Has taken another form. */
  become(event: OutgoingEvent): void {
    const { owner: _, ...unowned } = event;
    this.#event = this.#disowned ? unowned : event;
  }

  /** Its owner does not need its event id any more. */
  disown(): void {
    this.#disowned = true;
    this.become(this.#event);
  }

  get name(): string {
    return OutboxItem.nameOf(this.event);
  }

  /** Aborts when the last of those who wait has given up. */
  get givenUp(): AbortSignal {
    return this.#given.signal;
  }

  /** Whether anybody is told what becomes of it. */
  get awaited(): boolean {
    return this.#callers > 0;
  }

  /** Goes on as what an earlier opening of the store has written down under the same name. */
  takeOver(event: OutgoingEvent, record: ItemRecord): void {
    this.record = record;
    this.written = true;
    if (this.ready) return;
    this.become(event);
    this.ready = true;
  }

  resolve(sent: Sent): void {
    this.#settled.resolve(sent);
  }

  reject(error: unknown): void {
    this.#settled.reject(error);
  }

  /** Waits until it is sent or refused. When the signal aborts, and nobody else waits, it is given up. */
  async wait(signal: AbortSignal | undefined): Promise<Sent> {
    this.#callers += 1;
    try {
      return await abortable(this.#settled.promise, signal);
    } finally {
      this.#callers -= 1;
      if (signal?.aborted === true && this.#callers === 0) this.#given.abort(signal.reason);
    }
  }
}

/** What an event ends with when the client closes. */
export function closedError({ written }: { readonly written: boolean }): MatrixClientError {
  return new MatrixClientError("CLOSED", `the client was closed: ${whatBecomes(written)}`);
}

/** What an event ends with when the homeserver does not take the client's token any more. */
export function sessionEndedError({ written }: OutboxItem, cause: Error): MatrixClientError {
  const message = `the homeserver ended this session (${cause.message}): ${whatBecomes(written)}`;
  return new MatrixClientError("LOGIN_REFUSED", message, { cause });
}

function whatBecomes(written: boolean): string {
  return written
    ? "this event stays in the outbox, and is sent when the client is opened again"
    : "this event was not written down, and is not sent later";
}
