import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import type { Sas, VerificationRequest } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import { type EngineRequest, engineRequest } from "../../crypto/outgoing.ts";
import { MatrixClientError } from "../../errors.ts";
import type { ShortAuthString } from "./short-auth-string.ts";
import type { UnsentRequests } from "./unsent-requests.ts";
import { toSend, type VerificationCancelled, VerificationFlow, type VerificationState } from "./verification-flow.ts";

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
  readonly #flow: VerificationFlow;
  readonly #settled = Promise.withResolvers<void>();
  readonly #shown = Promise.withResolvers<ShortAuthString>();
  readonly #listeners = new Set<(state: VerificationState) => void>();
  readonly #timer: NodeJS.Timeout;
  #state: VerificationState = "requested";
  #cancelled: VerificationCancelled | undefined;
  #timedOut = false;
  #stepWanted = false;
  #stepping = false;

  constructor(parts: VerificationParts) {
    const { request, limitMs, signal } = parts;
    this.#parts = parts;
    this.flowId = request.flowId;
    this.userId = request.otherUserId.toString();
    this.roomId = request.roomId?.toString();
    this.startedByUs = request.weStarted();
    this.done = this.#settled.promise;
    // Nobody need wait for either.
    this.done.catch(() => {});
    this.#shown.promise.catch(() => {});
    this.#flow = new VerificationFlow(request, () => parts.outside(() => this.#poke()));
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
    return this.#flow.deviceId;
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
    await this.#act(async () => this.#flow.accept());
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
    await this.#act(async () => toSend(sas.cancelWithCode("m.mismatched_sas")));
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
    const { sas } = this.#flow;
    if (sas !== undefined && this.#state === "comparing") return sas;
    throw new MatrixClientError("CONFIG", `a verification that is ${this.#state} has nothing to compare`);
  }

  async #cancelWith(code: "m.user" | "m.timeout"): Promise<void> {
    if (code === "m.timeout") this.#timedOut = true;
    // What still waits to be sent is for a verification that goes on.
    this.#parts.unsent.drop();
    await this.#act(async () => this.#flow.cancel(code));
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
    const { requests, shown, state } = await encryption.run(() => this.#flow.look());
    unsent.add(requests);
    await unsent.send();
    if (shown !== undefined) this.#shown.resolve(shown);
    if (state === "cancelled") return this.#end(this.#flow.whyCancelled(this.#timedOut));
    if (state === "done") {
      await refresh();
      this.#become("done");
      this.#clear();
      this.#settled.resolve();
      return;
    }
    this.#become(state);
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
