import { type Change, type Logger, messageOf } from "@holdfast/key-store-core";
import { type OlmMachine, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import { Mutex } from "async-mutex";
import type { Encryption } from "../crypto/encryption.ts";
import { type EngineRequest, engineRequest } from "../crypto/outgoing.ts";
import { isMatrixClientError, MatrixClientError } from "../errors.ts";
import type { HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import { isHomeserverError, rateLimit } from "../http/homeserver-error.ts";
import { MEGOLM } from "../rooms/encryption-state.ts";
import type { Rooms } from "../rooms/rooms.ts";
import { abortable } from "./abortable.ts";
import { engineSettings, type ShareKeysWith } from "./key-sharing.ts";
import { alone, Locks } from "./locks.ts";
import { clientErrors, pausedError, sessionRefusal } from "./refusal.ts";

/** What an {@link Encryptor} is made of. */
export interface EncryptorOptions {
  readonly api: HomeserverApi;
  readonly rooms: Rooms;
  /** The encryption that runs now; `undefined` while its store is away. */
  readonly encryption: () => Encryption | undefined;
  readonly logger: Logger;
  /** Aborts when the client closes. */
  readonly closing: AbortSignal;
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

/** How often a member's devices are asked for before messages go to those that are known. */
const MAX_FAILED_ROUNDS = 3;

/** How often one-time keys are claimed for one message; the engine itself leaves out devices that had none. */
const MAX_CLAIMS = 3;

/** What is to be done before an event can be encrypted, or that it is. */
type Step<T> =
  | { readonly kind: "claim" }
  /** What it depends on has changed. */
  | { readonly kind: "again" }
  | { readonly kind: "share"; readonly requests: readonly EngineRequest[] }
  | { readonly kind: "done"; readonly result: T };

/**
 * Encrypts events of rooms, after their keys have gone to all devices that are
 * to have them. That nobody is left out, and the encryption itself, are one
 * call on the engine: whoever a sync has told of until then, come or gone, is
 * heeded. A member whose devices the homeserver does not give is waited for a
 * while; then messages go to the others, and to those of its devices that are
 * known. While the homeserver only asks to wait, or answers nothing, messages do.
 */
export class Encryptor {
  readonly #options: EncryptorOptions;
  readonly #shareKeysWith: ShareKeysWith;
  readonly #rooms = new Locks();
  /** One claim at a time: two for the same device would spend two of its one-time keys. */
  readonly #claims = new Mutex();
  /** How often in a row members' devices were asked for in vain. */
  readonly #failedRounds = new Map<string, number>();
  /** What the engine's requests failed with last; `undefined` where they could all be sent. */
  #failure: unknown;
  /** Where all that the engine has to send was sent or tried once: our own keys before the first message. */
  readonly #flushed = new WeakSet<Encryption>();

  constructor(options: EncryptorOptions) {
    this.#options = Object.freeze({ ...options });
    this.#shareKeysWith = options.shareKeysWith ?? "all-devices";
  }

  /**
   * Shares a room's key ahead of the first message, so that it goes out faster.
   * Does nothing in a room that is not encrypted.
   *
   * @throws as {@link encrypt}, with `REQUEST_REFUSED` for what the homeserver refuses, `LOGIN_REFUSED` where it has
   * ended the session and `ENCRYPTION_UNAVAILABLE` for a store that fails; `CLOSED` where the client closes
   */
  async prepare(roomId: string, signal?: AbortSignal): Promise<void> {
    const { rooms, closing } = this.#options;
    const until = signal === undefined ? closing : AbortSignal.any([signal, closing]);
    try {
      await clientErrors(async () => {
        until.throwIfAborted();
        const { kind } = await rooms.encryption(roomId, until);
        if (kind === "encrypted") await this.#withKey(roomId, until, async () => async () => {});
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw closing.aborted ? new MatrixClientError("CLOSED", "the client was closed") : error;
    }
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
    const share = async (): Promise<T> => {
      const givenUp = new Set<string>();
      for (let claims = 0; ; ) {
        signal?.throwIfAborted();
        const encryption = this.#available(roomId);
        const work = await workOn(encryption);
        const step = await this.#step(encryption, roomId, { signal, claim: claims < MAX_CLAIMS, givenUp, work });
        if (step.kind === "done") return step.result;
        if (step.kind === "claim") claims += 1;
        if (step.kind === "share") for (const request of step.requests) await encryption.send(request, signal);
      }
    };
    return this.#rooms.run(roomId, share, signal);
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
      /** Members whose devices are not waited for any more. */
      readonly givenUp: Set<string>;
      readonly work: (machine: OlmMachine) => Promise<T>;
    },
  ): Promise<Step<T>> {
    const { signal, claim, givenUp, work } = options;
    const audience = await this.#options.rooms.audience(roomId, signal);
    const { encryption: room, visibility, targets } = audience;
    if (room.kind !== "encrypted" || room.algorithm !== MEGOLM) {
      const message = `${roomId} is encrypted in a way that is not spoken here: nothing is sent to it`;
      throw new MatrixClientError("ROOM_ENCRYPTION_UNKNOWN", message);
    }
    encryption.follow(targets);
    await this.#freshDeviceLists(encryption, targets, givenUp, signal);
    const step = await encryption.run(async (machine): Promise<Step<T>> => {
      // Syncs are taken in by calls such as this one: after this nobody comes or goes before the end.
      if (audience.changed()) return { kind: "again" };
      if (claim && (await this.#missing(machine, targets, givenUp)) !== undefined) return { kind: "claim" };
      const settings = engineSettings(room, visibility, this.#shareKeysWith);
      const shares = await machine
        .shareRoomKey(new RoomId(roomId), this.#userIds(targets), settings)
        .catch((cause) => this.#notShared(roomId, cause));
      if (shares.length > 0) return { kind: "share", requests: shares.map(engineRequest) };
      return { kind: "done", result: await work(machine) };
    });
    if (step.kind === "claim") await this.#claim(encryption, targets, givenUp, signal);
    return step;
  }

  /** Claims one-time keys of devices that have no session yet. */
  #claim(
    encryption: Encryption,
    targets: readonly string[],
    givenUp: ReadonlySet<string>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const claim = async (): Promise<void> => {
      // Another room's claim may have been for the same devices.
      const request = await encryption.run((machine) => this.#missing(machine, targets, givenUp));
      if (request !== undefined) await encryption.send(request, signal);
    };
    return alone(this.#claims, claim, signal);
  }

  /** The claim for devices that have no session yet; `undefined` where all have one. */
  async #missing(
    machine: OlmMachine,
    targets: readonly string[],
    givenUp: ReadonlySet<string>,
  ): Promise<EngineRequest | undefined> {
    const users: string[] = [];
    for (const user of targets) {
      // For one of whom no device is known the engine would wait, and everything with it.
      if (!givenUp.has(user) || (await knowsDevices(machine, user))) users.push(user);
    }
    const request = await machine.getMissingSessions(this.#userIds(users));
    return request === null ? undefined : engineRequest(request);
  }

  /** Asks for the device lists that the engine wants. Those of these users may stay old where the homeserver does not give them. */
  async #freshDeviceLists(
    encryption: Encryption,
    targets: readonly string[],
    givenUp: Set<string>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const wanted = () => encryption.wanted(targets);
    // What else there is to send does not concern this message.
    if (this.#flushed.has(encryption) && (await wanted()).every((user) => givenUp.has(user))) return;
    try {
      await abortable(
        encryption.flush().finally(() => this.#flushed.add(encryption)),
        signal,
      );
      this.#failure = undefined;
      this.#failedRounds.clear();
    } catch (error) {
      const refused = isHomeserverError(error);
      const passes = refused || isMatrixClientError(error, "HOMESERVER_UNREACHABLE");
      if (!passes || sessionRefusal(error) !== undefined) throw error;
      // Those who ask at the same time are told the same of one round.
      const another = this.#failure !== error;
      this.#failure = error;
      const missing = await wanted();
      // Where nobody answers at all, that says nothing of the query, and the message could not go out either.
      if (missing.length > 0 && !refused && !(await this.#answers(signal))) throw error;
      if (another) this.#countFailed(targets, missing);
      if (missing.length === 0) return;
      if (rateLimit(error) !== undefined) throw error;
      const again = missing.some((user) => (this.#failedRounds.get(user) ?? 0) < MAX_FAILED_ROUNDS);
      if (!refused && again) throw error;
      for (const user of missing) givenUp.add(user);
      const consequence = "devices of this room's members that are new may not get the keys of this message";
      this.#options.logger.warn(
        `The homeserver does not say who has which devices, ${consequence}: ${messageOf(error)}`,
      );
    }
  }

  /** Whether the homeserver answers anything. */
  async #answers(signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await this.#options.api.request("GET", "/versions", { authenticated: false, retry: "never", signal });
      return true;
    } catch (error) {
      return isHomeserverError(error);
    }
  }

  #countFailed(targets: readonly string[], missing: readonly string[]): void {
    for (const user of targets) if (!missing.includes(user)) this.#failedRounds.delete(user);
    for (const user of missing) this.#failedRounds.set(user, (this.#failedRounds.get(user) ?? 0) + 1);
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

async function knowsDevices(machine: OlmMachine, user: string): Promise<boolean> {
  using devices = await machine.getUserDevices(new UserId(user));
  return devices.keys().length > 0;
}
