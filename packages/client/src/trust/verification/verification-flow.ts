import {
  Sas,
  VerificationMethod,
  type VerificationRequest,
  VerificationRequestPhase,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import { type EngineRequest, engineRequest } from "../../crypto/outgoing.ts";
import { type ShortAuthString, shortAuthStringOf } from "./short-auth-string.ts";

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

/** Where the engine is with a verification, and what it has to send before anybody hears of that. */
export interface FlowLook {
  readonly requests: readonly EngineRequest[];
  readonly shown?: ShortAuthString | undefined;
  readonly state: VerificationState;
}

/**
 * A verification as the engine has it: a request, and the comparison of short
 * strings that comes of it. What changes it is called inside `Encryption.run`.
 */
export class VerificationFlow {
  readonly #request: VerificationRequest;
  readonly #moved: () => void;
  #sas: Sas | undefined;
  #deviceId: string | undefined;

  /** @param moved called, from inside a call of the engine, whenever there is something new to look at */
  constructor(request: VerificationRequest, moved: () => void) {
    this.#request = request;
    this.#moved = moved;
    this.#deviceId = request.otherDeviceId?.toString();
    this.#watch(request);
  }

  /** The device on the other side, as of the last look; `undefined` while several were asked and none has answered. */
  get deviceId(): string | undefined {
    return this.#deviceId;
  }

  /** The comparison, as of the last look; `undefined` while there is none. */
  get sas(): Sas | undefined {
    return this.#sas;
  }

  /** Accepts what the other side has asked for. Answers with what is to be sent. */
  accept(): EngineRequest[] {
    return toSend(this.#request.acceptWithMethods([...METHODS]));
  }

  /** Cancels. Answers with what is to be sent. */
  cancel(code: string): EngineRequest[] {
    return toSend(this.#sas?.cancelWithCode(code) ?? this.#request.cancel());
  }

  /** Looks where the engine is, and has it do what is next. */
  async look(): Promise<FlowLook> {
    const request = this.#request;
    this.#deviceId = request.otherDeviceId?.toString() ?? this.#deviceId;
    if (request.isCancelled() || request.isPassive()) return { requests: [], state: "cancelled" };
    if (request.isDone()) return { requests: [], state: "done" };
    const requests: EngineRequest[] = [];
    // The side that asked also begins: other clients wait for their user to choose a method.
    if (request.phase() === VerificationRequestPhase.Ready && request.weStarted() && this.#sas === undefined) {
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
    requests.push(...toSend(this.#sas.accept()));
    if (this.#sas.isCancelled()) return { requests, state: "cancelled" };
    if (this.#sas.isDone()) return { requests, state: "done" };
    const shown = shortAuthStringOf(this.#sas);
    if (shown === undefined) return { requests, state: "ready" };
    return { requests, shown, state: this.#sas.haveWeConfirmed() ? "confirmed" : "comparing" };
  }

  /** Why it was cancelled. @param timedOut whether this side has cancelled it because it took too long */
  whyCancelled(timedOut: boolean): VerificationCancelled {
    if (this.#request.isPassive()) {
      return { code: "m.accepted", reason: "another device of this account has taken it", byUs: false };
    }
    const info = this.#sas?.cancelInfo() ?? this.#request.cancelInfo;
    if (info === undefined) return { code: "m.unknown", reason: "no reason is known", byUs: false };
    // The engine gives one reason only for what had not begun.
    if (timedOut && info.cancelledbyUs()) {
      return { code: "m.timeout", reason: "the verification took too long", byUs: true };
    }
    return { code: info.cancelCode(), reason: info.reason(), byUs: info.cancelledbyUs() };
  }

  /** The engine calls back from inside its own calls, and keeps what it calls for ever. */
  #watch(watched: VerificationRequest | Sas): void {
    const self = new WeakRef(this);
    watched.registerChangesCallback(async () => {
      const flow = self.deref();
      if (flow !== undefined) flow.#moved();
    });
  }
}

/** What is to be sent, where there is anything. */
export function toSend(request: Parameters<typeof engineRequest>[0] | undefined): EngineRequest[] {
  return request === undefined ? [] : [engineRequest(request)];
}
