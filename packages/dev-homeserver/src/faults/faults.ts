import type { Call, Middleware, Outcome } from "../http/call.ts";
import { type CallMatcher, matches } from "./call-matcher.ts";
import type { Fault } from "./fault.ts";

/** A fault that was asked for. */
export interface FaultHandle {
  /** How often it has come about. */
  readonly count: number;
  /**
   * Resolves once it has come about so often: for a lost response the request
   * is then handled, for a held one it is waiting.
   *
   * @param times default: 1
   */
  fired(times?: number): Promise<void>;
  /** Lets go of what it holds, and holds nothing from then on. */
  release(): void;
  /** Lets go of what it holds, and does not come about again. Idempotent. */
  remove(): void;
}

/** Lets calls go wrong, for tests of clients that have to live with it. Each call meets at most one fault. */
export class Faults {
  readonly #armed = new Set<ArmedFault>();

  /**
   * Lets the next call go wrong that fits, or a later one.
   *
   * @param nth which of the fitting calls from now on. Default: 1, the next
   */
  next(matcher: CallMatcher, fault: Fault, nth = 1): FaultHandle {
    return this.#arm(new ArmedFault(matcher, fault, nth - 1, 1));
  }

  /** Lets every call go wrong that fits, until the fault is removed. */
  always(matcher: CallMatcher, fault: Fault): FaultHandle {
    return this.#arm(new ArmedFault(matcher, fault, 0, Number.POSITIVE_INFINITY));
  }

  /** Removes every fault. */
  clear(): void {
    for (const armed of this.#armed) armed.remove();
    this.#armed.clear();
  }

  /** Where the faults come about. */
  readonly middleware: Middleware = (call, next) => {
    for (const armed of this.#armed) if (armed.takes(call)) return armed.apply(call, next);
    return next();
  };

  #arm(armed: ArmedFault): FaultHandle {
    this.#armed.add(armed);
    return armed;
  }
}

class ArmedFault implements FaultHandle {
  count = 0;
  readonly #matcher: CallMatcher;
  readonly #fault: Fault;
  readonly #released = Promise.withResolvers<void>();
  #toSkip: number;
  #left: number;
  readonly #waiting: { readonly times: number; readonly resolve: () => void }[] = [];

  constructor(matcher: CallMatcher, fault: Fault, toSkip: number, left: number) {
    this.#matcher = matcher;
    this.#fault = fault;
    this.#toSkip = toSkip;
    this.#left = left;
  }

  fired(times = 1): Promise<void> {
    if (this.count >= times) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ times, resolve }));
  }

  release(): void {
    this.#released.resolve();
  }

  remove(): void {
    this.#left = 0;
    this.release();
  }

  /** Whether this is a call that the fault was waiting for. */
  takes(call: Call): boolean {
    if (this.#left === 0 || !matches(this.#matcher, call)) return false;
    if (this.#toSkip > 0) {
      this.#toSkip -= 1;
      return false;
    }
    this.#left -= 1;
    return true;
  }

  async apply(call: Call, next: () => Promise<Outcome>): Promise<Outcome> {
    const fault = this.#fault;
    switch (fault.kind) {
      case "drop":
        this.#fire();
        return "hang up";
      case "error":
        this.#fire();
        return { status: fault.status, body: fault.body, headers: fault.headers };
      case "lose response":
        await next();
        this.#fire();
        return "hang up";
      case "duplicate":
        await next();
        this.#fire();
        return next();
      case "delay":
        this.#fire();
        await either(timer(fault.ms, call.signal), call.signal);
        return next();
      case "hold request":
        this.#fire();
        await either(this.#released.promise, call.signal);
        // Who has gone away meanwhile is not served any more, as by a server that reads late.
        return call.signal.aborted ? "hang up" : next();
      case "hold response": {
        const outcome = await next();
        this.#fire();
        await either(this.#released.promise, call.signal);
        return outcome;
      }
    }
  }

  #fire(): void {
    this.count += 1;
    for (const { times, resolve } of this.#waiting) if (this.count >= times) resolve();
  }
}

function either(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  return Promise.race([work, aborted]);
}

function timer(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timeout = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => clearTimeout(timeout), { once: true });
  });
}
