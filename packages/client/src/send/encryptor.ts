import { type Change, type Logger, messageOf } from "@holdfast/key-store-core";
import { type OlmMachine, type OutgoingRequest, RequestType, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { Mutex } from "async-mutex";
import type { Encryption } from "../crypto/encryption.ts";
import { type EngineRequest, engineRequest } from "../crypto/outgoing.ts";
import { isMatrixClientError, MatrixClientError } from "../errors.ts";
import type { JsonObject } from "../http/homeserver-api.ts";
import { isHomeserverError } from "../http/homeserver-error.ts";
import { MEGOLM } from "../rooms/encryption-state.ts";
import type { Rooms } from "../rooms/rooms.ts";
import { abortable } from "./abortable.ts";
import { engineSettings, type ShareKeysWith } from "./key-sharing.ts";
import { Locks } from "./locks.ts";
import { clientErrors, pausedError } from "./refusal.ts";

/** What an {@link Encryptor} is made of. */
export interface EncryptorOptions {
  readonly rooms: Rooms;
  /** The encryption that runs now; `undefined` while its store is away. */
  readonly encryption: () => Encryption | undefined;
  readonly logger: Logger;
  /** Default: `"all-devices"`. */
  readonly shareKeysWith?: ShareKeysWith | undefined;
}

/** An event to encrypt. */
export interface PlainEvent {
  readonly roomId: string;
  readonly type: string;
  readonly content: JsonObject;
}

/** Makes the changes that hold a ciphertext. */
export type Keep = (ciphertext: JsonObject) => readonly Change[];

/** How often the device lists are asked for before a message goes to the devices that are known. */
const MAX_FAILED_ROUNDS = 3;

/** How often one-time keys are claimed for one message; the engine itself leaves out devices that had none. */
const MAX_CLAIMS = 3;

/** What is to be done before an event can be encrypted, or that it is. */
type Step<T> =
  | { readonly kind: "claim"; readonly request: EngineRequest }
  | { readonly kind: "share"; readonly requests: readonly EngineRequest[] }
  | { readonly kind: "done"; readonly result: T };

/**
 * Encrypts events of rooms, after their keys have gone to all devices that are
 * to have them. That nobody is left out, and the encryption itself, are one
 * call on the engine: whoever has come or gone until then is heeded.
 */
export class Encryptor {
  readonly #options: EncryptorOptions;
  readonly #shareKeysWith: ShareKeysWith;
  readonly #rooms = new Locks();
  /** One claim at a time: two for the same device would spend two of its one-time keys. */
  readonly #claims = new Mutex();
  /** How often in a row the engine's requests could not all be sent. */
  #failedRounds = 0;

  constructor(options: EncryptorOptions) {
    this.#options = Object.freeze({ ...options });
    this.#shareKeysWith = options.shareKeysWith ?? "all-devices";
  }

  /**
   * Shares a room's key ahead of the first message, so that it goes out faster.
   * Does nothing in a room that is not encrypted.
   *
   * @throws as {@link encrypt}, with `REQUEST_REFUSED` for what the homeserver refuses and `ENCRYPTION_UNAVAILABLE`
   * for a store that fails
   */
  async prepare(roomId: string, signal?: AbortSignal): Promise<void> {
    await clientErrors(async () => {
      const { kind } = await this.#options.rooms.encryption(roomId, signal);
      if (kind === "encrypted") await this.#withKey(roomId, signal, async () => async () => {});
    });
  }

  /**
   * Encrypts an event. `keepIn` is told which encryption it will be committed
   * through, more than once where that takes several attempts, and answers with
   * what makes the changes that hold the ciphertext. They are durable with the
   * step of the ratchet when this resolves: then, and not before, the ciphertext
   * may leave the process. What the event relates to (`m.relates_to`) is beside
   * the ciphertext too, in clear, as the specification wants it.
   *
   * @throws `ENCRYPTION_UNAVAILABLE` without a store; `ROOM_ENCRYPTION_UNKNOWN`, also for an algorithm that is
   * not spoken here; `NOT_SET_UP` where the keys go to signed devices only and this account has no
   * cross-signing identity; `KeyStoreError`; what `keepIn` and `HomeserverApi.request` throw; the signal's reason
   */
  encrypt(
    event: PlainEvent,
    keepIn: (encryption: Encryption) => Promise<Keep>,
    signal?: AbortSignal,
  ): Promise<JsonObject> {
    const text = JSON.stringify(event.content);
    return this.#withKey(event.roomId, signal, async (encryption) => {
      const keep = await keepIn(encryption);
      return async (machine) => {
        const ciphertext = await machine.encryptRoomEvent(new RoomId(event.roomId), event.type, text);
        const content = JSON.parse(ciphertext) as JsonObject;
        await encryption.commit(keep(content));
        return content;
      };
    });
  }

  /** Runs work on the engine at a moment when all devices have the room's key; `workOn` makes it for the encryption it is run on. */
  #withKey<T>(
    roomId: string,
    signal: AbortSignal | undefined,
    workOn: (encryption: Encryption) => Promise<(machine: OlmMachine) => Promise<T>>,
  ): Promise<T> {
    return this.#rooms.run(roomId, async () => {
      signal?.throwIfAborted();
      for (let claims = 0; ; ) {
        const encryption = this.#available(roomId);
        const work = await workOn(encryption);
        const step = await this.#step(encryption, roomId, { signal, claim: claims < MAX_CLAIMS, work });
        if (step.kind === "done") return step.result;
        if (step.kind === "claim") claims += 1;
        else for (const request of step.requests) await encryption.send(request, signal);
      }
    });
  }

  #available(roomId: string): Encryption {
    const encryption = this.#options.encryption();
    if (encryption !== undefined) return encryption;
    throw pausedError(roomId);
  }

  async #step<T>(
    encryption: Encryption,
    roomId: string,
    options: {
      readonly signal: AbortSignal | undefined;
      readonly claim: boolean;
      readonly work: (machine: OlmMachine) => Promise<T>;
    },
  ): Promise<Step<T>> {
    const { rooms } = this.#options;
    const { signal, claim, work } = options;
    const room = await rooms.encryption(roomId, signal);
    if (room.kind !== "encrypted" || room.algorithm !== MEGOLM) {
      const message = `${roomId} is encrypted in a way that is not spoken here: nothing is sent to it`;
      throw new MatrixClientError("ROOM_ENCRYPTION_UNKNOWN", message);
    }
    const visibility = await rooms.historyVisibility(roomId, signal);
    const targets = await rooms.keyTargets(roomId, signal);
    await encryption.run((machine) => machine.updateTrackedUsers(this.#userIds(targets)));
    await this.#freshDeviceLists(encryption, signal);
    return this.#claims.runExclusive(async () => {
      const step = await encryption.run(async (machine): Promise<Step<T>> => {
        const missing = claim ? await machine.getMissingSessions(this.#userIds(targets)) : null;
        if (missing !== null) return { kind: "claim", request: engineRequest(missing) };
        const settings = engineSettings(room, visibility, this.#shareKeysWith);
        const shares = await machine
          .shareRoomKey(new RoomId(roomId), this.#userIds(targets), settings)
          .catch((cause) => this.#notShared(roomId, cause));
        if (shares.length > 0) return { kind: "share", requests: shares.map(engineRequest) };
        return { kind: "done", result: await work(machine) };
      });
      if (step.kind === "claim") await encryption.send(step.request, signal);
      return step;
    });
  }

  /** Asks for the device lists that the engine wants. They may stay old where the homeserver does not give them. */
  async #freshDeviceLists(encryption: Encryption, signal: AbortSignal | undefined): Promise<void> {
    // It was another request that failed, as long as no device list is wanted: what is tried again does not concern this message.
    if (this.#failedRounds > 0 && !(await encryption.run(wantsDeviceLists))) return;
    try {
      await abortable(encryption.flush(), signal);
      this.#failedRounds = 0;
    } catch (error) {
      const refused = isHomeserverError(error);
      if (!refused && !isMatrixClientError(error, "HOMESERVER_UNREACHABLE")) throw error;
      this.#failedRounds += 1;
      // Any request of the engine may have failed: none of them holds messages up for ever.
      if (!refused && this.#failedRounds < MAX_FAILED_ROUNDS) throw error;
      const consequence = "a device that is new may not get the keys of this message";
      this.#options.logger.warn(
        `The crypto engine's requests could not all be sent, ${consequence}: ${messageOf(error)}`,
      );
    }
  }

  #notShared(roomId: string, cause: unknown): never {
    if (this.#shareKeysWith === "all-devices") throw cause;
    const message = `the key of ${roomId} was not shared with ${this.#shareKeysWith}: ${messageOf(cause)}`;
    throw new MatrixClientError("NOT_SET_UP", message, { cause });
  }

  /** Made anew for each call of the engine, which takes them away. */
  #userIds(users: readonly string[]): UserId[] {
    return users.flatMap((user) => {
      try {
        return [new UserId(user)];
      } catch {
        this.#options.logger.warn("A member whose user id is malformed gets no room keys");
        return [];
      }
    });
  }
}

async function wantsDeviceLists(machine: OlmMachine): Promise<boolean> {
  return ((await machine.outgoingRequests()) as OutgoingRequest[]).some(({ type }) => type === RequestType.KeysQuery);
}
