import type { Call, DevHomeserver, JsonObject, Outcome } from "@holdfast/dev-homeserver";
import type { Ledger } from "./ledger.ts";
import { megolmIndex } from "./megolm.ts";

/** A request and what it was answered. */
interface Exchange {
  readonly at: Date;
  readonly call: Call;
  outcome: Outcome | undefined;
}

/** What has left the processes, also where a fault let it go no further, and what is wrong with it. */
export class Wire {
  readonly #homeserver: DevHomeserver;
  readonly #ledger: Ledger;
  /** The ciphertext of each index of each Megolm session. */
  readonly #ciphertexts = new Map<string, string>();
  /** The one-time keys that each device offered, by name. */
  readonly #offered = new Map<string, string>();
  readonly #fallback = new Set<string>();
  /** Who claimed which key. */
  readonly #claimed = new Map<string, string>();
  readonly #identities = new Map<string, string>();
  readonly #members = new Set<string>();
  #exchanges: Exchange[] = [];
  /** The latest body of each acknowledged transaction, to tell a repeated send from another event. */
  readonly counts = { ciphertexts: 0, uploads: 0, oneTimeKeys: 0, claims: 0 };

  constructor(homeserver: DevHomeserver, ledger: Ledger) {
    this.#homeserver = homeserver;
    this.#ledger = ledger;
    homeserver.use(async (call, next) => {
      this.#left(call);
      const exchange: Exchange = { at: new Date(), call, outcome: undefined };
      this.#exchanges.push(exchange);
      const outcome = await next();
      exchange.outcome = outcome;
      return outcome;
    });
  }

  /** What was asked and answered since the last {@link drain}, a line of JSON for each; what has no answer yet is without. */
  transcript(): string {
    const lines = this.#exchanges.map(({ at, call, outcome }) => {
      const { device, method, route, parameters, query, body } = call;
      const asked = { user: device?.userId, method, route, parameters, query: Object.fromEntries(query), body };
      return JSON.stringify({ at, ...asked, outcome });
    });
    return `${lines.join("\n")}\n`;
  }

  /** Watches a device. */
  watch(userId: string): void {
    this.#members.add(userId);
  }

  /** Takes in what the journal has of claims, and empties it and the transcript. To be called while nothing is under way but syncs. */
  drain(): void {
    const { journal } = this.#homeserver;
    for (const { userId, deviceId, keyId, key, claimedBy } of journal.handedOutKeys()) {
      this.counts.claims += 1;
      const { key: publicKey } = key as { key: string };
      const name = JSON.stringify([userId, deviceId, keyId]);
      if (this.#fallback.has(publicKey)) continue;
      for (const handedOut of [name, publicKey]) {
        const before = this.#claimed.get(handedOut);
        if (before === undefined) this.#claimed.set(handedOut, claimedBy);
        else
          this.#ledger.violation(
            "a one-time key was handed out twice",
            userId,
            `${keyId}, to ${before} and ${claimedBy}`,
          );
      }
    }
    journal.clear();
    this.#exchanges = [];
  }

  isFallback(publicKey: string): boolean {
    return this.#fallback.has(publicKey);
  }

  #left({ device, method, route, parameters, body }: Call): void {
    if (device === undefined || !this.#members.has(device.userId)) return;
    if (method === "PUT" && route.endsWith("/send/{eventType}/{txnId}")) {
      if (parameters.eventType === "m.room.encrypted") this.#ciphertext(device.userId, body);
      else if (parameters.eventType === "m.room.message") this.#plain(device.userId, parameters.roomId ?? "");
    }
    if (method === "POST" && route.endsWith("/keys/upload")) this.#upload(device.userId, body);
  }

  /** Rooms that are encrypted. */
  readonly encryptedRooms = new Set<string>();

  #plain(member: string, roomId: string): void {
    if (this.encryptedRooms.has(roomId))
      this.#ledger.violation("plaintext went into an encrypted room", member, roomId);
  }

  #ciphertext(member: string, { session_id: session, ciphertext }: JsonObject): void {
    this.counts.ciphertexts += 1;
    const text = String(ciphertext);
    const name = `${session} ${megolmIndex(text)}`;
    const before = this.#ciphertexts.get(name);
    if (before === undefined) this.#ciphertexts.set(name, text);
    else if (before !== text) this.#ledger.violation("a Megolm index was used twice", member, name);
  }

  #upload(member: string, body: JsonObject): void {
    this.counts.uploads += 1;
    const keys = (body.device_keys as { keys?: Record<string, string> } | undefined)?.keys;
    if (keys !== undefined) {
      const identity = JSON.stringify(keys);
      const before = this.#identities.get(member);
      if (before === undefined) this.#identities.set(member, identity);
      else if (before !== identity)
        this.#ledger.violation("another identity was uploaded", member, `${before}, then ${identity}`);
    }
    for (const [id, key] of keysOf(body.one_time_keys)) {
      this.counts.oneTimeKeys += 1;
      const name = `${member} ${id}`;
      const before = this.#offered.get(name);
      if (before === undefined) this.#offered.set(name, key);
      else if (before !== key) this.#ledger.violation("two one-time keys were offered under one name", member, `${id}`);
    }
    for (const [, key] of keysOf(body.fallback_keys)) this.#fallback.add(key);
  }
}

function keysOf(section: unknown): [string, string][] {
  return Object.entries((section ?? {}) as Record<string, { key: string }>).map(([id, { key }]) => [id, key]);
}
