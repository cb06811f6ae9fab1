import {
  DecryptionSettings,
  DeviceId,
  DeviceLists,
  EncryptionSettings,
  KeysClaimRequest,
  KeysQueryRequest,
  KeysUploadRequest,
  OlmMachine,
  type RequestType,
  RoomId,
  ToDeviceRequest,
  TrustRequirement,
  UserId,
} from "@matrix-org/matrix-sdk-crypto-wasm";

type Json = Record<string, unknown>;
type ByUser<T> = Record<string, Record<string, T>>;

interface Outgoing {
  readonly id: string | undefined;
  readonly type: RequestType;
  readonly body: string;
}

// A new one for each call: the engine takes it over.
const untrusted = (): DecryptionSettings => new DecryptionSettings(TrustRequirement.Untrusted);

/** As much of a homeserver as two crypto engines need of one: it keeps public keys and hands on messages. */
export class Homeserver {
  readonly #deviceKeys: ByUser<unknown> = {};
  readonly #oneTimeKeys: ByUser<[string, unknown][]> = {};
  readonly #inboxes: ByUser<Json[]> = {};

  /** Sends what an engine wants to have sent, until it wants nothing more. */
  async serve(machine: OlmMachine): Promise<void> {
    for (
      let requests = await machine.outgoingRequests();
      requests.length > 0;
      requests = await machine.outgoingRequests()
    ) {
      for (const request of requests) await this.send(machine, request as Outgoing);
    }
  }

  async send(machine: OlmMachine, request: Outgoing): Promise<void> {
    const user = machine.userId.toString();
    const device = machine.deviceId.toString();
    const response = this.#answer(user, device, request, JSON.parse(request.body));
    await machine.markRequestAsSent(request.id as string, request.type, JSON.stringify(response)); // only room messages have none
  }

  /** Lets an engine have the messages that are there for it. */
  async deliver(machine: OlmMachine): Promise<number> {
    const user = machine.userId.toString();
    const device = machine.deviceId.toString();
    const messages = at(this.#inboxes, user, device, () => []).splice(0);
    const counts = new Map([["signed_curve25519", this.#left(user, device)]]);
    await machine.receiveSyncChanges(JSON.stringify(messages), new DeviceLists(), counts, undefined, untrusted());
    return messages.length;
  }

  #answer(user: string, device: string, request: Outgoing, body: Json): Json {
    if (request instanceof KeysUploadRequest) {
      if (body.device_keys !== undefined) at(this.#deviceKeys, user, device, () => body.device_keys);
      const keys = at(this.#oneTimeKeys, user, device, () => []);
      keys.push(...Object.entries((body.one_time_keys ?? {}) as Json));
      return { one_time_key_counts: { signed_curve25519: keys.length } };
    }
    if (request instanceof KeysQueryRequest) {
      const users = Object.keys(body.device_keys as Json);
      return { device_keys: Object.fromEntries(users.map((each) => [each, this.#deviceKeys[each] ?? {}])) };
    }
    if (request instanceof KeysClaimRequest)
      return { one_time_keys: this.#claim(body.one_time_keys as ByUser<string>) };
    if (request instanceof ToDeviceRequest) {
      for (const [to, devices] of Object.entries(body.messages as ByUser<Json>)) {
        for (const [toDevice, content] of Object.entries(devices)) {
          at(this.#inboxes, to, toDevice, () => []).push({ sender: user, type: request.event_type, content });
        }
      }
      return {};
    }
    return {};
  }

  #claim(wanted: ByUser<string>): ByUser<Json> {
    const claimed: ByUser<Json> = {};
    for (const [user, devices] of Object.entries(wanted)) {
      for (const device of Object.keys(devices)) {
        const key = at(this.#oneTimeKeys, user, device, () => []).shift();
        if (key !== undefined) at(claimed, user, device, () => Object.fromEntries([key]));
      }
    }
    return claimed;
  }

  #left(user: string, device: string): number {
    return at(this.#oneTimeKeys, user, device, () => []).length;
  }
}

/** An engine whose databases begin with this name. */
export async function startMachine(user: string, device: string, storeName: string): Promise<OlmMachine> {
  return OlmMachine.initialize(new UserId(user), new DeviceId(device), storeName, "a passphrase");
}

/** Gives the room's key to a user's devices. */
export async function shareRoomKey(server: Homeserver, from: OlmMachine, room: string, to: UserId): Promise<void> {
  await from.updateTrackedUsers([to.clone()]);
  await server.serve(from);
  const claim = await from.getMissingSessions([to.clone()]);
  if (claim !== null && claim !== undefined) await server.send(from, claim as Outgoing);
  const requests = await from.shareRoomKey(new RoomId(room), [to.clone()], new EncryptionSettings());
  for (const request of requests) await server.send(from, request as Outgoing);
}

/** The encrypted event of a message, as a room would have it. */
export async function encryptMessage(from: OlmMachine, room: string, body: string): Promise<Json> {
  const content = await from.encryptRoomEvent(new RoomId(room), "m.room.message", JSON.stringify({ body }));
  return {
    type: "m.room.encrypted",
    event_id: "$event:example.org",
    origin_server_ts: 1,
    sender: from.userId.toString(),
    room_id: room,
    content: JSON.parse(content),
  };
}

/** The body of a message. */
export async function decryptMessage(to: OlmMachine, room: string, event: Json): Promise<string> {
  const decrypted = await to.decryptRoomEvent(JSON.stringify(event), new RoomId(room), untrusted());
  return JSON.parse(decrypted.event).content.body;
}

function at<T>(table: ByUser<T>, user: string, device: string, make: () => T): T {
  table[user] ??= {};
  const devices = table[user];
  devices[device] ??= make();
  return devices[device];
}
