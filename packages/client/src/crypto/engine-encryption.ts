import { AsyncLocalStorage } from "node:async_hooks";
import { type Change, type DeviceStore, KeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { type OlmMachine, type OutgoingRequest, RequestType } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OlmEngine } from "../engine/olm-engine.ts";
import { isMatrixClientError, MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { isHomeserverError, rateLimit } from "../http/homeserver-error.ts";
import { parseObject } from "../http/json.ts";
import type { OpenCollection } from "../records/sealed-collection.ts";
import type { Encryption, RoomKey } from "./encryption.ts";
import { Following } from "./following.ts";
import type { DeviceIdentity } from "./identity-guard.ts";
import { KeyQueries } from "./key-queries.ts";
import { KeyUpload } from "./key-upload.ts";
import { type EngineRequest, engineRequest, markAsSent, type RoomEventTarget, type SendToRoom } from "./outgoing.ts";
import { Repetitions, usersOf } from "./repetitions.ts";
import { Rounds } from "./rounds.ts";
import { SessionRepairs } from "./session-repairs.ts";

/** The collection of the client's single records. */
export const CLIENT_COLLECTION = "client";

/** What an {@link EngineEncryption} is made of. */
export interface EngineEncryptionParts {
  readonly engine: OlmEngine;
  readonly collection: OpenCollection;
  readonly api: HomeserverApi;
  readonly logger: Logger;
  /** Sends what the engine has for rooms. Default: such requests are refused. */
  readonly sendToRoom?: SendToRoom | undefined;
}

/** {@link Encryption} on an opened engine. Nothing is sent of its own accord. */
export class EngineEncryption implements Encryption {
  readonly userId: string;
  readonly deviceId: string;
  readonly identity: DeviceIdentity;
  readonly deviceStore: DeviceStore;
  readonly collection: OpenCollection;
  readonly #engine: OlmEngine;
  readonly #api: HomeserverApi;
  readonly #upload: KeyUpload;
  readonly #repairs: SessionRepairs;
  readonly #logger: Logger;
  readonly #sendToRoom: SendToRoom | undefined;
  /** Requests for rooms that a flush has handed over: the engine lists them until they have arrived. */
  readonly #handedOver = new Set<string>();
  readonly #listeners = new Set<(keys: readonly RoomKey[]) => void>();
  readonly #rounds = new Rounds(() => this.#flushOnce());
  readonly #following: Following;
  readonly #queries = new KeyQueries();
  readonly #closing = new AbortController();
  /** Where code runs that {@link run} called, until its work has settled. */
  readonly #scope = new AsyncLocalStorage<{ open: boolean }>();

  constructor({ engine, collection, api, logger, sendToRoom }: EngineEncryptionParts) {
    this.#sendToRoom = sendToRoom;
    this.#engine = engine;
    this.#api = api;
    this.#logger = logger;
    this.collection = collection;
    this.deviceStore = engine.deviceStore;
    this.userId = engine.deviceStore.device.userId;
    this.deviceId = engine.deviceStore.device.deviceId;
    const { curve25519, ed25519 } = engine.machine.identityKeys;
    this.identity = Object.freeze({ curve25519: curve25519.toBase64(), ed25519: ed25519.toBase64() });
    const records = collection<JsonObject>(CLIENT_COLLECTION);
    this.#following = new Following(logger);
    this.#upload = new KeyUpload({ api, encryption: this, records, identity: this.identity, logger });
    this.#repairs = new SessionRepairs({ records, commit: (changes) => this.commit(changes), logger });
    engine.machine.registerRoomKeyUpdatedCallback(async (infos) => {
      const keys = infos.map(({ roomId, sessionId }) => ({ roomId: roomId.toString(), sessionId }));
      for (const listener of this.#listeners) listener(keys);
    });
  }

  run<T>(work: (machine: OlmMachine) => Promise<T>): Promise<T> {
    const scope = { open: true };
    return this.#engine.run((machine) =>
      this.#scope.run(scope, async () => {
        try {
          return await work(machine);
        } finally {
          scope.open = false;
        }
      }),
    );
  }

  commit(changes: readonly Change[]): Promise<void> {
    if (this.#scope.getStore()?.open) return this.deviceStore.commit(changes);
    // In a batch of its own: a commit that somebody else's batch takes along resolves before it is durable.
    return this.deviceStore.batch(() => this.deviceStore.commit(changes));
  }

  async send(
    request: EngineRequest,
    signal?: AbortSignal,
    andThen?: (machine: OlmMachine) => Promise<void>,
  ): Promise<void> {
    const until = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    if (request.type === RequestType.KeysUpload) return this.#upload.send(request, until);
    if (request.roomEvent !== undefined) return this.#sendRoomEvent(request, request.roomEvent);
    const { type, method, path, query, body } = request;
    // Only the upload of cross-signing keys, which has no type, is not a thing to be asked for twice.
    const retry = type === undefined ? "limits" : "safe";
    const answer = await this.#api.request(method, path, { query, body, signal: until, retry });
    if (request.id === undefined || type === undefined) return;
    await this.run(async (machine) => {
      await markAsSent(machine, request, answer);
      await this.#repairs.answered(machine, request, answer);
      await andThen?.(machine);
    });
  }

  /** Compares what the homeserver shows for this device with its identity, as {@link KeyUpload.check} does. */
  checkIdentity(signal?: AbortSignal): Promise<void> {
    return this.#upload.check(
      signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]),
    );
  }

  flush(): Promise<void> {
    return this.#rounds.run();
  }

  follow(userIds: Iterable<string>): void {
    this.#following.add(userIds);
  }

  wanted(userIds: readonly string[]): Promise<readonly string[]> {
    this.#following.add(userIds);
    return this.run(async (machine) => {
      this.#queries.told(await this.#following.tell(machine));
      if (this.#queries.areUnderWay) return this.#queries.among(userIds);
      const asked = new Set((await this.#outgoing(machine)).flatMap(usersOf));
      return userIds.filter((userId) => asked.has(userId));
    });
  }

  devicesChanged(userIds: readonly string[]): void {
    this.#queries.told(userIds);
  }

  onRoomKeys(listener: (keys: readonly RoomKey[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends requests under way, waits for calls of the engine, and gives the device's lease back. Idempotent. */
  close(): Promise<void> {
    const { failed } = this.deviceStore;
    // Whoever waits for a request is told what it was that ended it, and not that they themselves had given up.
    this.#closing.abort(
      failed.aborted ? failed.reason : new KeyStoreError("ERR_KEY_STORE_CLOSED", "the device's store was closed"),
    );
    this.#listeners.clear();
    return this.#engine.close();
  }

  /** As clear text it would show what an encrypted room is there to hide: rooms are sent to in one way. */
  async #sendRoomEvent({ id, body }: EngineRequest, target: RoomEventTarget): Promise<void> {
    if (this.#sendToRoom === undefined) {
      throw new MatrixClientError("CONFIG", `nothing here sends ${target.type} to rooms`);
    }
    const answer = JSON.stringify({ event_id: await this.#sendToRoom(target, parseObject(body) ?? {}) });
    if (id !== undefined) await this.run((machine) => machine.markRequestAsSent(id, RequestType.RoomMessage, answer));
  }

  /** Not waited for: an encrypted event may need a flush itself. What fails is not tried again here. */
  #handOver(request: EngineRequest): void {
    if (request.id !== undefined) this.#handedOver.add(request.id);
    this.send(request).then(
      () => request.id !== undefined && this.#handedOver.delete(request.id),
      (error) => {
        if (this.#closing.signal.aborted) return;
        this.#logger.warn(`An event of a verification was not sent to its room: ${messageOf(error)}`);
      },
    );
  }

  /** What the engine has to send. Not to be asked while queries for devices are under way. */
  async #outgoing(machine: OlmMachine): Promise<EngineRequest[]> {
    const made = ((await machine.outgoingRequests()) as OutgoingRequest[]).map(engineRequest);
    this.#repairs.note(made);
    return made;
  }

  async #flushOnce(): Promise<void> {
    try {
      await this.#sendAll();
    } finally {
      this.#queries.end();
    }
  }

  async #sendAll(): Promise<void> {
    const repetitions = new Repetitions();
    for (;;) {
      const outgoing = await this.run(async (machine) => {
        await this.#following.tell(machine);
        const made = await this.#outgoing(machine);
        this.#queries.begin(made);
        return [...made.filter((request) => this.#repairs.isDue(request)), ...(await this.#repairs.outgoing())];
      });
      const fresh = outgoing.filter(({ id }) => id === undefined || !this.#handedOver.has(id));
      for (const request of fresh) if (request.roomEvent !== undefined) this.#handOver(request);
      const requests = fresh.filter(({ roomEvent }) => roomEvent === undefined);
      if (requests.length === 0) return;
      const due = requests.filter((request) => repetitions.allow(request));
      if (due.length === 0) throw repetitions.unsettled(requests);
      const failures: unknown[] = [];
      for (const request of due) {
        try {
          await this.send(request);
        } catch (error) {
          this.#closing.signal.throwIfAborted();
          this.#logger.debug(`A request of the crypto engine was not sent: ${RequestType[request.type ?? 0]}`);
          failures.push(error);
        } finally {
          this.#queries.end(request);
        }
      }
      if (failures.length > 0) throw weightiest(failures);
    }
  }
}

/** What ends the work for good comes before what asks to wait, and that before what is simply tried again. */
function weightiest(failures: readonly unknown[]): unknown {
  const passing = (error: unknown): boolean =>
    isHomeserverError(error) || isMatrixClientError(error, "HOMESERVER_UNREACHABLE");
  const limited = (error: unknown): boolean => rateLimit(error) !== undefined;
  return failures.find((error) => !passing(error)) ?? failures.find(limited) ?? failures[0];
}
