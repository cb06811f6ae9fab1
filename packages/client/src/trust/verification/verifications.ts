import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { isKeyStoreError, type Logger, messageOf, silentLogger } from "@holdfast/key-store-core";
import {
  DeviceId,
  DeviceLists,
  EventId,
  OtherUserIdentity,
  OwnUserIdentity,
  RoomId,
  UserId,
  type VerificationRequest,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import { type EngineRequest, engineRequest, type SendToRoom } from "../../crypto/outgoing.ts";
import { MatrixClientError } from "../../errors.ts";
import type { IncomingEvent } from "../../events.ts";
import type { JsonObject } from "../../http/homeserver-api.ts";
import { parseObject, textOf } from "../../http/json.ts";
import type { ProcessedToDevice } from "../../sync/to-device.ts";
import { UnsentRequests } from "./unsent-requests.ts";
import { Verification } from "./verification.ts";
import { METHODS } from "./verification-flow.ts";

/** What is done with a request for verification: `"ignore"` leaves it to other devices of the account. */
export type VerificationDecision = "accept" | "reject" | "ignore";

/** Asked for each request for verification that comes in. Whoever accepts keeps the verification, to compare and confirm. */
export type VerificationPolicy = (request: Verification) => VerificationDecision | Promise<VerificationDecision>;

/** What verifications work on. */
export interface VerificationsParts {
  readonly encryption: Encryption;
  /** Default: says nothing. */
  readonly logger?: Logger | undefined;
  /** Default: every request is ignored, and named in the log. */
  readonly onRequest?: VerificationPolicy | undefined;
  /** How long a verification may take, in milliseconds. Default: 600,000, which is the specification's limit. */
  readonly limitMs?: number | undefined;
  /** Sends an event to a room, encrypted where the room is. Default: there are no verifications in rooms. */
  readonly sendToRoom?: SendToRoom | undefined;
}

/** How a verification is asked for. */
export interface VerifyOptions {
  /** Cancels the verification, at any time until it has ended. */
  readonly signal?: AbortSignal | undefined;
  /** How long it may take, in milliseconds. Default: 600,000. */
  readonly limitMs?: number | undefined;
}

/** An event of a room, as far as verifications look at it. */
export type VerificationRoomEvent = Pick<
  IncomingEvent,
  "roomId" | "eventId" | "sender" | "type" | "content" | "timestamp" | "raw"
>;

const LIMIT_MS = 600_000;
const REQUEST = "m.key.verification.request";

/** The interactive verifications of one device, asked for by it or by others. */
export class Verifications {
  readonly #parts: VerificationsParts;
  readonly #encryption: Encryption;
  readonly #logger: Logger;
  readonly #running = new Map<string, Verification>();
  #closed = false;
  // The engine calls back from inside its calls; whoever makes this is outside of them.
  readonly #outside = AsyncLocalStorage.snapshot() as <T>(call: () => T) => T;

  constructor(parts: VerificationsParts) {
    this.#parts = parts;
    this.#encryption = parts.encryption;
    this.#logger = parts.logger ?? silentLogger;
  }

  /** The verifications that have not ended. */
  get running(): readonly Verification[] {
    return [...this.#running.values()];
  }

  /**
   * Asks a device for verification, or, without one, all other devices of this account.
   *
   * @throws `MatrixClientError` `NOT_SET_UP` for a device that the homeserver does not show, and for an account without
   * cross-signing; `CONFIG` for another user without a device; what requests and `Encryption.run` throw
   */
  async request(userId: string, deviceId?: string, options: VerifyOptions = {}): Promise<Verification> {
    if (deviceId === undefined && userId !== this.#encryption.userId) {
      throw new MatrixClientError(
        "CONFIG",
        "to verify another user, name a device of theirs or a room that both are in",
      );
    }
    await this.#queryKeys(userId, options.signal);
    const { verification, outgoing } = await this.#encryption.run(async (machine) => {
      if (deviceId === undefined) {
        const identity = await machine.getIdentity(new UserId(userId));
        if (!(identity instanceof OwnUserIdentity)) throw nothingToVerify(`${userId} has no cross-signing identity`);
        const [request, toSend] = await identity.requestVerification([...METHODS]);
        return { verification: this.#begin(request, options), outgoing: engineRequest(toSend) };
      }
      const device = await machine.getDevice(new UserId(userId), new DeviceId(deviceId));
      if (device === undefined) throw nothingToVerify(`the homeserver shows no device ${deviceId} of ${userId}`);
      const [request, toSend] = device.requestVerification([...METHODS]);
      return { verification: this.#begin(request, options), outgoing: engineRequest(toSend) };
    });
    return this.#sendFirst(verification, [outgoing]);
  }

  /**
   * Asks another user for verification, by messages in a room that both are in.
   *
   * @throws `MatrixClientError` `NOT_SET_UP` for a user without cross-signing; `CONFIG` where nothing sends to rooms;
   * what sending, requests and `Encryption.run` throw
   */
  async requestInRoom(roomId: string, userId: string, options: VerifyOptions = {}): Promise<Verification> {
    const { sendToRoom } = this.#parts;
    if (sendToRoom === undefined) throw new MatrixClientError("CONFIG", "this client verifies in no rooms");
    await this.#queryKeys(userId, options.signal);
    const content = await this.#encryption.run(async (machine) =>
      parseObject(
        (await otherIdentity(machine.getIdentity(new UserId(userId)))).verificationRequestContent([...METHODS]),
      ),
    );
    // The engine leaves the type of the message out.
    const target = { roomId, type: "m.room.message", transactionId: randomUUID() };
    const eventId = await sendToRoom(target, { ...content, msgtype: REQUEST });
    return this.#encryption.run(async (machine) => {
      const identity = await otherIdentity(machine.getIdentity(new UserId(userId)));
      return this.#begin(identity.requestVerification(new RoomId(roomId), new EventId(eventId), [...METHODS]), options);
    });
  }

  /**
   * To be called with the messages between devices that a sync brought, after
   * the engine has taken them in: for new requests among them the policy is asked.
   * Never rejects but with the store's error.
   */
  async receiveToDevice(messages: readonly ProcessedToDevice[]): Promise<void> {
    for (const { type, sender, content } of messages) {
      const flowId = textOf(content.transaction_id);
      if (type !== REQUEST || flowId === undefined) continue;
      await this.#guarded(sender, async () => {
        const known = await this.#requestOf(sender, flowId);
        if (known !== undefined) return this.#ask(known);
        // The engine passes over a request of a device that it does not know yet.
        await this.#queryKeys(sender);
        await this.#receiveAgain({ type, sender, content });
        const request = await this.#requestOf(sender, flowId);
        if (request !== undefined) this.#ask(request);
      });
    }
  }

  /**
   * To be called with every event of a room's timeline, decrypted where it was
   * encrypted: those that are no part of a verification are passed over. Never
   * rejects but with the store's error.
   */
  async receiveRoomEvent(event: VerificationRoomEvent): Promise<void> {
    const { roomId, eventId, sender, type, content, timestamp, raw } = event;
    if (this.#parts.sendToRoom === undefined) return;
    const asks = type === "m.room.message" && content.msgtype === REQUEST;
    if (!asks && !type.startsWith("m.key.verification.")) return;
    // Whoever is in the room can ask whomever they like: it costs nothing here what others are asked.
    if (asks && content.to !== this.#encryption.userId) return;
    // What this device has sent, as the homeserver shows it again.
    if (raw.unsigned?.transaction_id !== undefined) return;
    await this.#guarded(sender, async () => {
      if (asks) await this.#queryKeys(sender);
      const text = JSON.stringify({ type, event_id: eventId, sender, content, origin_server_ts: timestamp });
      await this.#encryption.run((machine) => machine.receiveVerificationEvent(text, new RoomId(roomId)));
      const request = asks ? await this.#requestOf(sender, eventId) : undefined;
      if (request !== undefined) this.#ask(request);
      await this.#sendAll([]);
    });
  }

  /** Cancels what runs, and tells the other side; what nobody here has answered is left to other devices of the account. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.running.map((verification) => verification.leave()));
  }

  #begin(request: VerificationRequest, options: VerifyOptions): Verification {
    const verification = new Verification({
      encryption: this.#encryption,
      request,
      logger: this.#logger,
      limitMs: options.limitMs ?? this.#parts.limitMs ?? LIMIT_MS,
      signal: options.signal,
      outside: this.#outside,
      unsent: new UnsentRequests((requests, sent) => this.#sendAll(requests, sent)),
      refresh: () =>
        this.#guarded(request.otherUserId.toString(), () => this.#queryKeys(request.otherUserId.toString())),
    });
    const key = keyOf(verification.userId, verification.flowId);
    this.#running.set(key, verification);
    verification.done.catch(() => {}).finally(() => this.#running.delete(key));
    return verification;
  }

  async #sendFirst(verification: Verification, requests: readonly EngineRequest[]): Promise<Verification> {
    try {
      await this.#sendAll(requests);
      return verification;
    } catch (error) {
      await verification.cancel().catch(() => {});
      throw error;
    }
  }

  /** Sends what an act of ours made, then what the engine makes of its own accord. */
  async #sendAll(requests: readonly EngineRequest[], sent = (): void => {}): Promise<void> {
    for (const request of requests) {
      await this.#encryption.send(request);
      sent();
    }
    await this.#encryption.flush().catch((error) => {
      if (isKeyStoreError(error)) throw error;
      // What failed may have nothing to do with this, and is there again with the next sync.
      this.#logger.debug(`Some requests of the crypto engine were not sent: ${messageOf(error)}`);
    });
  }

  #requestOf(userId: string, flowId: string): Promise<VerificationRequest | undefined> {
    return this.#encryption.run(async (machine) => machine.getVerificationRequest(new UserId(userId), flowId));
  }

  #receiveAgain(message: JsonObject): Promise<unknown> {
    return this.#encryption.run((machine) =>
      machine.receiveSyncChangesMsc4186(JSON.stringify([message]), new DeviceLists(), new Map(), undefined),
    );
  }

  #ask(request: VerificationRequest): void {
    const key = keyOf(request.otherUserId.toString(), request.flowId);
    if (this.#closed || this.#running.has(key) || request.weStarted() || request.isCancelled()) return;
    const verification = this.#begin(request, {});
    // Nobody who delivers events waits for people to decide.
    this.#outside(() => {
      this.#decide(verification).catch((error) => {
        this.#logger.warn(
          `A request for verification from ${verification.userId} was not answered: ${messageOf(error)}`,
        );
      });
    });
  }

  async #decide(verification: Verification): Promise<void> {
    const { onRequest } = this.#parts;
    const decision = (await onRequest?.(verification)) ?? "ignore";
    this.#logger.info(`A request for verification from ${verification.userId}: ${decision}`);
    if (decision === "accept") await verification.accept();
    else if (decision === "reject") await verification.cancel();
    else verification.abandon();
  }

  async #queryKeys(userId: string, signal?: AbortSignal): Promise<void> {
    const request = await this.#encryption.run(async (machine) =>
      engineRequest(machine.queryKeysForUsers([new UserId(userId)])),
    );
    await this.#encryption.send(request, signal);
  }

  async #guarded(sender: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isKeyStoreError(error)) throw error;
      this.#logger.warn(`A message of a verification with ${sender} was not taken in: ${messageOf(error)}`);
    }
  }
}

async function otherIdentity(
  found: Promise<OwnUserIdentity | OtherUserIdentity | undefined>,
): Promise<OtherUserIdentity> {
  const identity = await found;
  if (identity instanceof OtherUserIdentity) return identity;
  throw nothingToVerify("this user has no cross-signing identity, or is this account itself");
}

function nothingToVerify(message: string): MatrixClientError {
  return new MatrixClientError("NOT_SET_UP", message);
}

function keyOf(userId: string, flowId: string): string {
  return JSON.stringify([userId, flowId]);
}
