import type { Call, Middleware, Outcome } from "../http/call.ts";
import { isObject, type JsonObject } from "../http/json.ts";
import { type CallMatcher, matches } from "./call-matcher.ts";

/** One call that reached the server. */
export interface JournalEntry {
  readonly call: Call;
  /** What it was answered; `undefined` while it is being handled. */
  readonly outcome: Outcome | undefined;
}

/** An event that a client sent into a room, state or not. */
export interface SentEvent {
  readonly roomId: string;
  readonly sender: string;
  readonly type: string;
  readonly content: JsonObject;
}

/** A message that a client sent to a device; `*` is all devices of a user. */
export interface SentToDevice {
  readonly sender: string;
  readonly senderDevice: string;
  readonly recipient: string;
  readonly recipientDevice: string;
  readonly type: string;
  readonly content: JsonObject;
}

/** A one-time or fallback key that the server gave to somebody. */
export interface HandedOutKey {
  readonly claimedBy: string;
  readonly userId: string;
  readonly deviceId: string;
  /** Such as `signed_curve25519:AAAAAQ`. */
  readonly keyId: string;
  readonly key: unknown;
}

/**
 * What reached the server, in the order in which it did: a call that a fault
 * dropped is not in it, one that was doubled is in it twice. The oldest
 * entries go when there are more than the limit.
 */
export class Journal {
  readonly #limit: number;
  readonly #waiting = new Set<{ readonly matcher: CallMatcher; readonly resolve: () => void }>();
  #entries: { readonly call: Call; outcome: Outcome | undefined }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Every entry, or those that fit. */
  entries(matcher: CallMatcher = {}): JournalEntry[] {
    return this.#entries.filter(({ call }) => matches(matcher, call));
  }

  /** Resolves once a call that fits has been answered with 200: at once, where one of the entries has been. */
  answered(matcher: CallMatcher): Promise<void> {
    if (this.entries(matcher).some(({ outcome }) => isTaken(outcome))) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ matcher, resolve }));
  }

  clear(): void {
    this.#entries = [];
  }

  /** The events that clients sent and the server took, those of one room where it is named. */
  events(roomId?: string): SentEvent[] {
    return this.#done(/\/(send|state)\/\{eventType\}\/[^/]+$/).flatMap(({ call }) => {
      const { roomId: room = "", eventType: type = "" } = call.parameters;
      if (call.method !== "PUT" || (roomId !== undefined && room !== roomId)) return [];
      return [{ roomId: room, sender: call.device?.userId ?? "", type, content: call.body }];
    });
  }

  /** The messages from device to device that clients sent and the server took. */
  toDevice(): SentToDevice[] {
    return this.#done(/\/sendToDevice\/\{eventType\}\/\{txnId\}$/).flatMap(({ call }) => {
      const { device, parameters, body } = call;
      const sender = { sender: device?.userId ?? "", senderDevice: device?.deviceId ?? "" };
      return byUserAndDevice(body.messages).map(([recipient, recipientDevice, content]) => {
        const message = isObject(content) ? content : {};
        return { ...sender, recipient, recipientDevice, type: parameters.eventType ?? "", content: message };
      });
    });
  }

  /** The one-time and fallback keys that the server handed out. A one-time key that is in it twice was published twice. */
  handedOutKeys(): HandedOutKey[] {
    return this.#done(/\/keys\/claim$/).flatMap(({ call, outcome }) => {
      const claimed = typeof outcome === "object" ? outcome.body.one_time_keys : {};
      return byUserAndDevice(claimed).flatMap(([userId, deviceId, keys]) => {
        const named = Object.entries(isObject(keys) ? keys : {});
        return named.map(([keyId, key]) => ({ claimedBy: call.device?.userId ?? "", userId, deviceId, keyId, key }));
      });
    });
  }

  /** Where the entries are made. */
  readonly middleware: Middleware = async (call, next) => {
    if (this.#limit === 0) return next();
    const entry: { readonly call: Call; outcome: Outcome | undefined } = { call, outcome: undefined };
    this.#entries.push(entry);
    if (this.#entries.length > this.#limit) this.#entries.splice(0, this.#entries.length - this.#limit);
    entry.outcome = await next();
    if (isTaken(entry.outcome)) this.#tell(call);
    return entry.outcome;
  };

  #tell(call: Call): void {
    for (const waiting of this.#waiting) {
      if (!matches(waiting.matcher, call)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  #done(route: RegExp): JournalEntry[] {
    return this.#entries.filter(({ call, outcome }) => route.test(call.route) && isTaken(outcome));
  }
}

function isTaken(outcome: Outcome | undefined): boolean {
  return typeof outcome === "object" && outcome.status === 200;
}

function byUserAndDevice(users: unknown): [string, string, unknown][] {
  if (!isObject(users)) return [];
  return Object.entries(users).flatMap(([userId, devices]) => {
    return Object.entries(isObject(devices) ? devices : {}).map(([deviceId, value]): [string, string, unknown] => [
      userId,
      deviceId,
      value,
    ]);
  });
}
