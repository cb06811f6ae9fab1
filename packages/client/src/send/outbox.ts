import { randomUUID } from "node:crypto";
import { type Change, isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Backoff } from "../backoff.ts";
import type { Encryption } from "../crypto/encryption.ts";
import { isMatrixClientError, MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { askedToWait, type HomeserverError } from "../http/homeserver-error.ts";
import type { Rooms } from "../rooms/rooms.ts";
import { abortable } from "./abortable.ts";
import { deliver, type Failure, failureOf } from "./deliver.ts";
import type { Encryptor } from "./encryptor.ts";
import { Locks } from "./locks.ts";
import { closedError, type ItemRecord, OutboxItem, type Sent, sessionEndedError } from "./outbox-item.ts";
import { OutboxRecords, type OutgoingEvent } from "./outbox-record.ts";
import { OutboxStore } from "./outbox-store.ts";
import { pause } from "./pause.ts";
import { asClientError, pausedError, sessionRefusal } from "./refusal.ts";
import { ENCRYPTED, REDACTION, wireForm } from "./wire-form.ts";

/** What an {@link Outbox} is made of. */
export interface OutboxOptions {
  readonly api: HomeserverApi;
  readonly rooms: Rooms;
  readonly encryptor: Encryptor;
  /** The encryption that runs now; `undefined` while its store is away. */
  readonly encryption: () => Encryption | undefined;
  readonly logger: Logger;
  /** The first pause after a failure of the network, in milliseconds; it doubles up to half a minute. Default: 500. */
  readonly retryDelayMs?: number | undefined;
}

/** How one event is sent. */
export interface SendOptions {
  /**
   * Makes a send idempotent: while the homeserver remembers it, or the event
   * is in the outbox, the same id in the same room is the same event. Default: a new one.
   */
  readonly transactionId?: string | undefined;
  /** Gives up, and takes the event out of the outbox; whether it has reached the homeserver is then open. */
  readonly signal?: AbortSignal | undefined;
  /** On whose behalf it is sent: the same transaction id for the same owner is answered, without a new send, until the owner is done with. */
  readonly owner?: string | undefined;
}

/**
 * What is on its way to the homeserver. An event is written down, ciphertext
 * with the step of its ratchet, before it is first sent, and stays until the
 * homeserver has taken or refused it: after a crash it is sent again under the
 * same transaction id. Events of one room are sent in the order in which they
 * were given. While the store is away, events of plain rooms are kept in memory.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #items = new Map<string, OutboxItem>();
  readonly #preparing = new Locks();
  readonly #delivering = new Locks();
  readonly #closing = new AbortController();
  readonly #work = new Set<Promise<void>>();
  readonly #store: OutboxStore;

  constructor(options: OutboxOptions) {
    this.#options = Object.freeze({ ...options });
    this.#store = new OutboxStore(options.encryption, (event, record) => this.#adopt(event, record));
  }

  /**
   * Takes up what an earlier process has left in the store of the encryption
   * that runs now, oldest first. The first send does the same. Does nothing while the store is away.
   *
   * @throws what reads and commits of the store throw
   */
  async resume(): Promise<void> {
    await this.#store.records();
  }

  /**
   * Sends an event; in an encrypted room its ciphertext, but for reactions,
   * which are all relation and go in clear as other clients send them. Failures
   * of the network are tried again until the signal aborts, no sooner than the homeserver asks for.
   *
   * @throws `REQUEST_REFUSED` where the homeserver refuses the event, which is then dropped;
   * `ROOM_ENCRYPTION_UNKNOWN`, `ENCRYPTION_UNAVAILABLE`, `NOT_SET_UP` as the encryptor does, nothing is then sent;
   * `LOGIN_REFUSED` where the homeserver has ended the session, and `CLOSED`: where it was written down before, it
   * stays in the outbox and is sent when the client is opened again, which the message says;
   * `CONFIG` for a type that is not sent this way; the signal's reason
   */
  async send(roomId: string, type: string, content: JsonObject, options: SendOptions = {}): Promise<Sent> {
    if (type === "m.room.encrypted" || type === REDACTION) {
      throw new MatrixClientError("CONFIG", `${type} is made by the client: it cannot be sent as it is`);
    }
    return this.#add({ roomId, type, content }, options);
  }

  /** Redacts an event, as {@link send} sends one. What is redacted and why is not encrypted in any room. */
  async redact(roomId: string, eventId: string, reason?: string, options: SendOptions = {}): Promise<Sent> {
    const content = reason === undefined ? {} : { reason };
    return this.#add({ roomId, type: REDACTION, content, redacts: eventId }, options);
  }

  /** What became, or becomes, of the event that was given under a transaction id; `undefined` where none is known. */
  async find(roomId: string, { transactionId, owner, signal }: SendOptions): Promise<Sent | undefined> {
    if (transactionId === undefined) return undefined;
    const records = await abortable(this.#store.recordsOrNone(), signal);
    const event = { roomId, transactionId };
    const item = this.#items.get(OutboxItem.nameOf(event));
    if (item !== undefined && !item.givenUp.aborted) return item.wait(signal);
    const eventId = owner === undefined ? undefined : await records?.sent(owner, event);
    return eventId === undefined ? undefined : { eventId };
  }

  /** The changes that forget what was sent for an owner, for the commit to `encryption` that ends its work. */
  forgetOwner(owner: string, encryption: Encryption): Change[] {
    // What its handler did not wait for is still under way: nobody asks for its event id any more.
    for (const item of this.#items.values()) if (item.event.owner === owner) item.disown();
    return [new OutboxRecords(encryption).forgetSent(owner)];
  }

  /** Ends all sends with `CLOSED`, and waits for what is under way in the store. What is written down stays in the outbox. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(closedError({ written: false }));
    await Promise.all(this.#work);
  }

  async #add(event: Omit<OutgoingEvent, "transactionId">, options: SendOptions): Promise<Sent> {
    const { transactionId = randomUUID(), signal, owner } = options;
    this.#closing.signal.throwIfAborted();
    signal?.throwIfAborted();
    // A copy: the caller may change what it gave while this waits.
    const content = JSON.parse(JSON.stringify(event.content)) as JsonObject;
    const given: OutgoingEvent = { ...event, content, transactionId, ...(owner === undefined ? {} : { owner }) };
    const known = this.#items.get(OutboxItem.nameOf(given));
    if (known !== undefined && !known.givenUp.aborted) return known.wait(signal);
    const item = new OutboxItem(given);
    this.#items.set(item.name, item);
    this.#track(this.#preparing.run(item.event.roomId, () => this.#prepare(item)));
    return item.wait(signal);
  }

  /** Makes an event what goes to the homeserver, durably, and puts it behind those of its room. */
  async #prepare(item: OutboxItem): Promise<void> {
    const signal = AbortSignal.any([item.givenUp, this.#closing.signal]);
    const backoff = this.#backoff();
    for (;;) {
      try {
        signal.throwIfAborted();
        const records = await this.#store.recordsOrNone();
        const known = await this.#knownAlready(item, records);
        if (known !== undefined) return this.#answer(item, known);
        if (!item.ready) {
          // Where it was to be written in a store that has gone away since, it is not.
          if (records === undefined) item.record = undefined;
          else this.#store.place(item, records);
          await this.#write(item, signal);
        }
        return this.#deliverInTurn(item);
      } catch (error) {
        if (signal.aborted) return this.#abort(item, signal.reason);
        const ended = sessionRefusal(error);
        if (ended !== undefined) return this.#endWithSession(item, ended);
        const atLeastMs = askedToWait(error) ?? (isMatrixClientError(error, "HOMESERVER_UNREACHABLE") ? 0 : undefined);
        if (atLeastMs === undefined) return this.#refuse(item, error);
        await pause(Math.max(backoff.next(), atLeastMs), signal);
      }
    }
  }

  /** The event id of what was sent before under the same transaction id for the same owner. */
  async #knownAlready(item: OutboxItem, records: OutboxRecords | undefined): Promise<string | undefined> {
    const { owner } = item.event;
    return owner === undefined ? undefined : records?.sent(owner, item.event);
  }

  async #write(item: OutboxItem, signal: AbortSignal): Promise<void> {
    await this.#encrypt(item, signal);
    const { record, event } = item;
    if (event.type === ENCRYPTED) item.written = true;
    else if (record !== undefined) {
      try {
        await record.records.encryption.commit([record.records.put(record.key, event)]);
        item.written = true;
      } catch (error) {
        // What is not encrypted needs no store: without one it is kept in memory.
        if (!isKeyStoreError(error)) throw error;
      }
    }
    item.ready = true;
  }

  async #encrypt(item: OutboxItem, signal: AbortSignal): Promise<void> {
    const { rooms, encryptor } = this.#options;
    // The store may have been opened again since, or another: the record is made for the one that commits it.
    const placeIn = async (encryption: Encryption): Promise<(event: OutgoingEvent) => Change> => {
      const records = await this.#store.records();
      if (records?.encryption !== encryption) throw pausedError(item.event.roomId);
      const { key } = this.#store.place(item, records);
      return (event) => records.put(key, event);
    };
    const place = this.#options.encryption() === undefined ? undefined : placeIn;
    item.become(await wireForm(item.event, { rooms, encryptor, place, signal }));
  }

  #deliverInTurn(item: OutboxItem): void {
    this.#track(this.#delivering.run(item.event.roomId, () => this.#deliver(item)));
  }

  async #deliver(item: OutboxItem): Promise<void> {
    const signal = AbortSignal.any([item.givenUp, this.#closing.signal]);
    const backoff = this.#backoff();
    for (;;) {
      try {
        signal.throwIfAborted();
        // A room may have become encrypted since: nothing goes there in plaintext any more.
        await this.#encrypt(item, signal);
        const eventId = await deliver(this.#options.api, item.event, signal);
        await this.#store.settle(item, eventId);
        return this.#answer(item, eventId);
      } catch (error) {
        if (signal.aborted) return this.#abort(item, signal.reason);
        const failure = failureOf(error);
        if (failure.kind !== "again") return this.#fail(item, failure, error);
        const why = `An event to ${item.event.roomId} is tried again: ${messageOf(error)}`;
        this.#options.logger.debug(why);
        await pause(Math.max(backoff.next(), failure.atLeastMs), signal);
      }
    }
  }

  #answer(item: OutboxItem, eventId: string): void {
    this.#forget(item);
    item.resolve({ eventId });
  }

  /** The client closes: the event stays. Or everybody who waited has given up: it goes. */
  async #abort(item: OutboxItem, reason: unknown): Promise<void> {
    const closing = this.#closing.signal.aborted;
    if (!closing) await this.#store.settle(item, undefined);
    this.#forget(item);
    item.reject(closing ? closedError(item) : reason);
  }

  /** Takes an event out, and tells those who wait: nothing of it is sent any more. */
  async #refuse(item: OutboxItem, error: unknown): Promise<void> {
    await this.#store.settle(item, undefined);
    this.#forget(item);
    item.reject(asClientError(error));
  }

  async #fail(item: OutboxItem, failure: Failure, error: unknown): Promise<void> {
    const left = !item.awaited;
    if (left) {
      const what = `An event that was left for ${item.event.roomId} was not sent`;
      this.#options.logger.warn(`${what} (${failure.kind}): ${messageOf(error)}`);
    }
    // What its caller was told has failed is not sent later; what nobody was told of may be.
    if (failure.kind === "refused" || (failure.kind === "impossible" && !left)) return this.#refuse(item, error);
    const ended = sessionRefusal(error);
    if (ended !== undefined) return this.#endWithSession(item, ended);
    this.#forget(item);
    item.reject(isMatrixClientError(error, "CLOSED") ? closedError(item) : asClientError(error));
  }

  #endWithSession(item: OutboxItem, cause: HomeserverError): void {
    this.#forget(item);
    item.reject(sessionEndedError(item, cause));
  }

  #forget(item: OutboxItem): void {
    if (this.#items.get(item.name) === item) this.#items.delete(item.name);
  }

  /** Takes up what an earlier process has left, or this one before the store went away. */
  #adopt(event: OutgoingEvent, record: ItemRecord): void {
    const item = this.#items.get(OutboxItem.nameOf(event));
    if (item !== undefined) {
      item.takeOver(event, record);
      return;
    }
    const left = new OutboxItem(event, record);
    this.#items.set(left.name, left);
    this.#deliverInTurn(left);
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#options.logger.error(`The outbox failed: ${messageOf(error)}`))
      .finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  #backoff(): Backoff {
    return new Backoff(this.#options.retryDelayMs ?? 500);
  }
}
