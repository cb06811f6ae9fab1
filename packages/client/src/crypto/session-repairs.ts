import { randomUUID } from "node:crypto";
import { type Change, type Logger, messageOf } from "@holdfast/key-store-core";
import { DeviceId, type OlmMachine, RequestType, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/homeserver-api.ts";
import { objectOf, parseObject, textOf } from "../http/json.ts";
import { path } from "../http/path.ts";
import type { SealedCollection } from "../records/sealed-collection.ts";
import type { EngineRequest } from "./outgoing.ts";

/** How long a device is left alone that was asked for a one-time key, in milliseconds. */
const PAUSE_MS = 60_000;
/** Where the messages stand that are not sent yet. */
const UNSENT = Buffer.from("session-repairs");

/** What the repair of sessions works on. */
export interface SessionRepairsParts {
  /** The client's collection for single records. */
  readonly records: SealedCollection<JsonObject>;
  readonly commit: (changes: readonly Change[]) => Promise<void>;
  readonly logger: Logger;
}

/**
 * The Olm sessions that the engine (matrix-sdk-crypto 0.19) makes of its own
 * accord, with devices whose messages do not open any more, and with those that
 * have asked for a secret. It leaves two things undone:
 *
 * - `GossipMachine::outgoing_to_device_requests` claims a key of such a device
 *   until there is one: of a device that has none left without an end. Here it is
 *   asked once a minute.
 * - `SessionManager::check_if_unwedged` makes an `m.dummy` that tells the other
 *   side to use the new session, over the old session, and nothing sends it. A
 *   device that only reads would never be understood: it is sent from here, over
 *   the new one. It is durable with the session, because the engine makes no
 *   other session within an hour.
 */
export class SessionRepairs {
  readonly #parts: SessionRepairsParts;
  /** Devices that the engine wants a session with. */
  readonly #wanted = new Set<string>();
  /** When a key of a device was asked for last. */
  readonly #asked = new Map<string, number>();
  /** Bodies of messages that are not sent yet, by transaction id. */
  #unsent: Map<string, string> | undefined;

  constructor(parts: SessionRepairsParts) {
    this.#parts = parts;
  }

  /** Of what the engine has to send, takes note of the devices that it wants sessions with. */
  note(requests: readonly EngineRequest[]): void {
    for (const request of requests) for (const device of devicesOf(request)) this.#wanted.add(nameOf(device));
  }

  /** Whether a request is to be sent now. */
  isDue(request: EngineRequest): boolean {
    const devices = devicesOf(request);
    const since = Date.now() - PAUSE_MS;
    return devices.length === 0 || devices.some((device) => (this.#asked.get(nameOf(device)) ?? 0) < since);
  }

  /** What has to be sent besides what the engine has. */
  async outgoing(): Promise<EngineRequest[]> {
    return [...(await this.#messages())].map(([id, body]) => ({
      id,
      type: RequestType.ToDevice,
      method: "PUT",
      path: path`/v3/sendToDevice/m.room.encrypted/${id}`,
      body,
    }));
  }

  /** To be called inside the `run` that tells the engine of an answer, after that. */
  async answered(machine: OlmMachine, request: EngineRequest, answer: JsonObject): Promise<void> {
    if (request.type === RequestType.ToDevice) await this.#sent(request.id);
    if (request.type !== RequestType.KeysClaim) return;
    const now = Date.now();
    for (const [name, at] of this.#asked) if (at < now - PAUSE_MS) this.#asked.delete(name);
    for (const device of devicesOf(request)) {
      if (this.#wanted.has(nameOf(device))) this.#asked.set(nameOf(device), now);
    }
    const given = pairsOf(answer.one_time_keys).filter((device) => this.#wanted.delete(nameOf(device)));
    if (given.length > 0) await this.#announce(machine, given);
  }

  /** Tells devices of their new sessions. */
  async #announce(machine: OlmMachine, devices: readonly Device[]): Promise<void> {
    const messages: Record<string, Record<string, JsonObject>> = {};
    for (const [userId, deviceId] of devices) {
      try {
        using device = await machine.getDevice(new UserId(userId), new DeviceId(deviceId));
        const text = await device?.encryptToDeviceEvent("m.dummy", {});
        const content = text === undefined ? undefined : parseObject(text);
        if (content !== undefined) messages[userId] = { ...messages[userId], [deviceId]: content };
      } catch (error) {
        this.#parts.logger.debug(`A device was not told of its new Olm session: ${messageOf(error)}`);
      }
    }
    if (Object.keys(messages).length === 0) return;
    const unsent = await this.#messages();
    unsent.set(randomUUID(), JSON.stringify({ messages }));
    await this.#save(unsent);
  }

  async #sent(id: string | undefined): Promise<void> {
    const unsent = await this.#messages();
    if (id !== undefined && unsent.delete(id)) await this.#save(unsent);
  }

  async #messages(): Promise<Map<string, string>> {
    if (this.#unsent === undefined) {
      const stored = objectOf((await this.#parts.records.get(UNSENT))?.messages) ?? {};
      this.#unsent = new Map(Object.entries(stored).map(([id, body]) => [id, textOf(body) ?? "{}"]));
    }
    return this.#unsent;
  }

  #save(unsent: ReadonlyMap<string, string>): Promise<void> {
    const { records, commit } = this.#parts;
    const messages = Object.fromEntries(unsent);
    return commit([unsent.size === 0 ? records.delete(UNSENT) : records.put(UNSENT, { messages })]);
  }
}

type Device = readonly [userId: string, deviceId: string];

/** The devices that a request claims keys of. */
function devicesOf({ type, body }: EngineRequest): Device[] {
  return type === RequestType.KeysClaim ? pairsOf(parseObject(body)?.one_time_keys) : [];
}

function pairsOf(byUser: unknown): Device[] {
  return Object.entries(objectOf(byUser) ?? {}).flatMap(([userId, devices]) =>
    Object.keys(objectOf(devices) ?? {}).map((deviceId): Device => [userId, deviceId]),
  );
}

function nameOf(device: Device): string {
  return JSON.stringify(device);
}
