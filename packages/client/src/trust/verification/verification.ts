import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import {
  Sas,
  VerificationMethod,
  type VerificationRequest,
  VerificationRequestPhase,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import { type EngineRequest, engineRequest } from "../../crypto/outgoing.ts";
import { MatrixClientError } from "../../errors.ts";
import { type ShortAuthString, shortAuthStringOf } from "./short-auth-string.ts";
import type { UnsentRequests } from "./unsent-requests.ts";

/** The method that this client offers and accepts: comparing a short string, as emoji or numbers. */
export const METHODS: readonly VerificationMethod[] = [VerificationMethod.SasV1];

/**
 * Where a verification stands: asked for and not answered; answered; two strings
 * wait to be compared; confirmed here and not yet there; done; cancelled by either side.
 */
export type VerificationState = "requested" | "ready" | "comparing" | "confirmed" | "done" | "cancelled";

/** Why a verification ended without success. */
export interface VerificationCancelled {
  /** Such as `m.user`, `m.timeout`, `m.mismatched_sas`; `m.accepted` where another device of the account has taken it. */
  readonly code: string;
  readonly reason: string;
  readonly byUs: boolean;
}

/** What a verification works on. */
export interface VerificationParts {
  readonly encryption: Encryption;
  readonly request: VerificationRequest;
  readonly logger: Logger;
  /** How long it may take from now, in milliseconds. */
  readonly limitMs: number;
  /** Cancels the verification. */
  readonly signal: AbortSignal | undefined;
  /** Runs a call as if it came from outside every call of the engine: its callbacks come from inside. */
  readonly outside: <T>(call: () => T) => T;
  readonly unsent: UnsentRequests;
  /** Asks the homeserver for the other side's keys, with the signatures that a verification adds to them. */
  readonly refresh: () => Promise<void>;
}

/**
 * An interactive verification with another device (Matrix specification, "Short
 * Authentication String (SAS) verification"): both sides show a short string,
 * people or programs compare them over another channel, and each says so.
 */
export class Verification {
  /** Names the verification on both sides: a transaction id, or the id of an event in a room. */
  readonly flowId: string;
  /** The user on the other side. */
  readonly userId: string;
  /** There for a verification whose messages go through a room. */
  readonly roomId: string | undefined;
  readonly startedByUs: boolean;
  /** Resolves when both sides have confirmed, and what follows from it was sent. Rejects with `VERIFICATION_CANCELLED`, or with what went wrong. */
  readonly done: Promise<void>;
  readonly #parts: VerificationParts;
  readonly #request: VerificationRequest;
  readonly #settled = Promise.withResolvers<void>();
  readonly #shown = Promise.withResolvers<ShortAuthString>();
  readonly #listeners = new Set<(state: VerificationState) => void>();
  readonly #timer: NodeJS.Timeout;
  #sas: Sas | undefined;
  #state: VerificationState = "requested";
  #cancelled: VerificationCancelled | undefined;
  #deviceId: string | undefined;
  #timedOut = false;
  #stepWanted = false;
  #stepping = false;

  constructor(parts: VerificationParts) {
    const { request, limitMs, signal } = parts;
    this.#parts = parts;
    this.#request = request;
    this.flowId = request.flowId;
    this.userId = request.otherUserId.toString();
    this.roomId = request.roomId?.toString();
    this.startedByUs = request.weStarted();
    this.#deviceId = request.otherDeviceId?.toString();
    this.done = this.#settled.promise;
    // Nobody need wait for either.
    this.done.catch(() => {});
    this.#shown.promise.catch(() => {});
    this.#watch(request);
    this.#timer = setTimeout(() => this.#cancelQuietly("m.timeout"), limitMs).unref();
    const abort = (): void => this.#cancelQuietly("m.user");
    if (signal?.aborted) queueMicrotask(abort);
    signal?.addEventListener("abort", abort, { once: true });
    this.done.catch(() => {}).finally(() => signal?.removeEventListener("abort", abort));
    parts.outside(() => this.#poke());
  }

  get state(): VerificationState {
    return this.#state;
  }

  /** The device on the other side; `undefined` while several were asked and none has answered. */
  get deviceId(): string | undefined {
    return this.#deviceId;
  }

  /** Why it was cancelled; `undefined` while it was not. */
  get cancelled(): VerificationCancelled | undefined {
    return this.#cancelled;
  }

  /** What both sides show, as soon as it is known. Rejects as {@link done} does. */
  get shortAuthString(): Promise<ShortAuthString> {
    return this.#shown.promise;
  }

  /** Calls `listener` with each new state; answers with how to take it off. */
  onState(listener: (state: VerificationState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Accepts what the other side has asked for. Without effect on what is accepted already. */
  async accept(): Promise<void> {
    await this.#act(async () => {
      const request = this.#request.acceptWithMethods([...METHODS]);
      return request === undefined ? [] : [engineRequest(request)];
    });
  }

  /**
   * Says that both sides show the same. The other device, or its user's identity,
   * is verified when the other side has said so too: wait for {@link done}. A rate
   * limit of the homeserver is waited for. Where it rejects although it was said,
   * another call sends what was not sent, as the next message of the other side does.
   *
   * @throws `MatrixClientError` `CONFIG` while there is nothing to compare; what requests and `Encryption.run` throw
   */
  async confirm(): Promise<void> {
    if (this.#state === "confirmed") return this.#parts.unsent.send();
    const sas = this.#comparable();
    this.#become("confirmed");
    await this.#act(async () => (await sas.confirm()).map(engineRequest));
  }

  /**
   * Says that the two sides show different strings: somebody stands between them. Cancels.
   *
   * @throws as {@link confirm} does
   */
  async mismatch(): Promise<void> {
    const sas = this.#comparable();
    await this.#act(async () => {
      const request = sas.cancelWithCode("m.mismatched_sas");
      return request === undefined ? [] : [engineRequest(request)];
    });
  }

  /** Cancels. Without effect on what has ended. */
  async cancel(): Promise<void> {
    await this.#cancelWith("m.user");
  }

  /**
   * Ends it because this device goes away: cancels what both sides are at, and
   * leaves what nobody here has answered to other devices of the account.
   */
  async leave(): Promise<void> {
    if (this.#state === "requested" && !this.startedByUs) this.abandon();
    else await this.cancel();
  }

  /** Lets go of it without a word: it is left to other devices of the account. */
  abandon(): void {
    this.#end({ code: "m.ignored", reason: "the request was ignored", byUs: true });
  }

  #comparable(): Sas {
    if (this.#sas !== undefined && this.#state === "comparing") return this.#sas;
    throw new MatrixClientError("CONFIG", `a verification that is ${this.#state} has nothing to compare`);
  }

  async #cancelWith(code: "m.user" | "m.timeout"): Promise<void> {
    if (code === "m.timeout") this.#timedOut = true;
    // What still waits to be sent is for a verification that goes on.
    this.#parts.unsent.drop();
    await this.#act(async () => {
      const request = this.#sas?.cancelWithCode(code) ?? this.#request.cancel();
      return request === undefined ? [] : [engineRequest(request)];
    });
  }

  #cancelQuietly(code: "m.user" | "m.timeout"): void {
    this.#parts.outside(() => {
      this.#cancelWith(code).catch((error) => this.#fail(error));
    });
  }

  /** Has the engine do something, alone and durably, then sends what came of it. */
  async #act(work: () => Promise<EngineRequest[]>): Promise<void> {
    if (this.#ended) return;
    const { encryption, unsent } = this.#parts;
    unsent.add(await encryption.run(work));
    await unsent.send();
    this.#poke();
  }

  get #ended(): boolean {
    return this.#state === "done" || this.#state === "cancelled";
  }

  /** The engine calls back from inside its own calls, and keeps what it calls for ever. */
  #watch(watched: VerificationRequest | Sas): void {
    const { outside } = this.#parts;
    const self = new WeakRef(this);
    watched.registerChangesCallback(async () => {
      const verification = self.deref();
      if (verification !== undefined) outside(() => verification.#poke());
    });
  }

  #poke(): void {
    this.#stepWanted = true;
    if (this.#stepping) return;
    this.#stepping = true;
    void this.#steps();
  }

  async #steps(): Promise<void> {
    try {
      while (this.#stepWanted && !this.#ended) {
        this.#stepWanted = false;
        await this.#step();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#stepping = false;
    }
  }

  /** Looks where the engine is, does what is next, and sends it before anybody hears of it. */
  async #step(): Promise<void> {
    const { encryption, unsent, refresh } = this.#parts;
    const { requests, shown, state } = await encryption.run(() => this.#look());
    unsent.add(requests);
    await unsent.send();
    if (shown !== undefined) this.#shown.resolve(shown);
    if (state === "cancelled") return this.#end(this.#whyCancelled());
    if (state === "done") {
      await refresh();
      this.#become("done");
      this.#clear();
      this.#settled.resolve();
      return;
    }
    this.#become(state);
  }

  async #look(): Promise<Look> {
    const request = this.#request;
    this.#deviceId = request.otherDeviceId?.toString() ?? this.#deviceId;
    if (request.isCancelled() || request.isPassive()) return { requests: [], state: "cancelled" };
    if (request.isDone()) return { requests: [], state: "done" };
    const requests: EngineRequest[] = [];
    // The side that asked also begins: other clients wait for their user to choose a method.
    if (request.phase() === VerificationRequestPhase.Ready && this.startedByUs && this.#sas === undefined) {
      const started = await request.startSas();
      if (started !== undefined) requests.push(engineRequest(started[1]));
    }
    const current = request.getVerification();
    if (!(current instanceof Sas)) {
      return { requests, state: request.phase() === VerificationRequestPhase.Ready ? "ready" : "requested" };
    }
    // Another one takes its place where both sides began at once.
    if (this.#sas === undefined || this.#sas.weStarted() !== current.weStarted()) {
      this.#sas = current;
      this.#watch(current);
    }
    const accepted = this.#sas.accept();
    if (accepted !== undefined) requests.push(engineRequest(accepted));
    if (this.#sas.isCancelled()) return { requests, state: "cancelled" };
    if (this.#sas.isDone()) return { requests, state: "done" };
    const shown = shortAuthStringOf(this.#sas);
    if (shown === undefined) return { requests, state: "ready" };
    return { requests, shown, state: this.#sas.haveWeConfirmed() ? "confirmed" : "comparing" };
  }

  #whyCancelled(): VerificationCancelled {
    if (this.#request.isPassive()) {
      return { code: "m.accepted", reason: "another device of this account has taken it", byUs: false };
    }
    const info = this.#sas?.cancelInfo() ?? this.#request.cancelInfo;
    if (info === undefined) return { code: "m.unknown", reason: "no reason is known", byUs: false };
    // The engine gives one reason only for what had not begun.
    if (this.#timedOut && info.cancelledbyUs()) {
      return { code: "m.timeout", reason: "the verification took too long", byUs: true };
    }
    return { code: info.cancelCode(), reason: info.reason(), byUs: info.cancelledbyUs() };
  }

  #end(cancelled: VerificationCancelled): void {
    const by = cancelled.byUs ? "here" : "by the other side";
    const message = `the verification with ${this.userId} was cancelled ${by}: ${cancelled.reason} (${cancelled.code})`;
    this.#endWith(cancelled, new MatrixClientError("VERIFICATION_CANCELLED", message));
  }

  #fail(error: unknown): void {
    const { logger } = this.#parts;
    if (!isKeyStoreError(error)) logger.warn(`The verification with ${this.userId} failed: ${messageOf(error)}`);
    this.#endWith({ code: "m.unknown", reason: messageOf(error), byUs: true }, error);
  }

  #endWith(cancelled: VerificationCancelled, error: unknown): void {
    if (this.#ended) return;
    this.#cancelled = cancelled;
    this.#become("cancelled");
    this.#clear();
    this.#shown.reject(error);
    this.#settled.reject(error);
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#parts.unsent.drop();
    this.#listeners.clear();
  }

  #become(state: VerificationState): void {
    if (this.#state === state || this.#ended) return;
    this.#state = state;
    for (const listener of this.#listeners) void this.#tell(listener, state);
  }

  /** What a listener does with it is no matter of the verification. */
  async #tell(listener: (state: VerificationState) => unknown, state: VerificationState): Promise<void> {
    try {
      await listener(state);
    } catch (error) {
      this.#parts.logger.error(`A listener to a verification's state failed: ${messageOf(error)}`);
    }
  }
}

interface Look {
  readonly requests: readonly EngineRequest[];
  readonly shown?: ShortAuthString | undefined;
  readonly state: VerificationState;
}
