import { randomUUID } from "node:crypto";
import { DeviceLists, EncryptionSettings, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/json.ts";
import { type Engine, type Identity, identityOf } from "./engine.ts";
import { type Received, type RoomEvent, receive } from "./events.ts";
import { type HomeserverClient, path } from "./homeserver-client.ts";
import { type Journal, memoryJournal } from "./journal.ts";
import { flush, outgoing, sendAll } from "./outgoing.ts";
import { history, messageEvents, newMembers, type SyncResponse } from "./sync-response.ts";

/** What a party is made of. */
export interface PartyOptions {
  readonly client: HomeserverClient;
  readonly engine: Engine;
  /** Default: one in memory, for an engine that is in memory too. */
  readonly journal?: Journal | undefined;
  /** How many events of a timeline one sync may bring; what is beyond is fetched. Default: 100. */
  readonly timelineLimit?: number | undefined;
  /** Runs inside the batch of each sync: the engine has taken everything in, and nothing is durable yet. */
  readonly insideSync?: ((response: SyncResponse) => Promise<void>) | undefined;
}

/** What one sync brought. */
export interface SyncReport {
  /** Events not reported before, and those of before whose key has come. At least once: tell them apart by event id. */
  readonly received: readonly Received[];
  /** How many messages came from other devices, room keys among them. */
  readonly toDevice: number;
  /** The rooms that this user is invited to. */
  readonly invitedTo: readonly string[];
}

const ENCRYPTION = "m.room.encryption";

/**
 * One device in a conversation: a crypto engine and a homeserver, with the
 * plain work between them. It sends nothing before the engine's `run` that
 * made it has resolved, and calls a sync done when engine, events and token
 * are committed together. It retries nothing: meant for demonstrations,
 * benchmarks and tests, with one call of its methods at a time.
 */
export class Party {
  readonly client: HomeserverClient;
  readonly engine: Engine;
  readonly #journal: Journal;
  readonly #insideSync: PartyOptions["insideSync"];
  readonly #filter: string;
  #inbox: readonly RoomEvent[] = [];
  #since: string | undefined;
  #loaded = false;

  constructor(options: PartyOptions) {
    this.client = options.client;
    this.engine = options.engine;
    this.#journal = options.journal ?? memoryJournal();
    this.#insideSync = options.insideSync;
    this.#filter = JSON.stringify({ room: { timeline: { limit: options.timelineLimit ?? 100 } } });
  }

  get userId(): string {
    return this.client.credentials.userId;
  }

  /** The token that the next sync starts from; `undefined` before the first. */
  get since(): string | undefined {
    return this.#since;
  }

  /** The identity that the engine has. */
  identity(): Promise<Identity> {
    return identityOf(this.engine);
  }

  /** The identity that the homeserver shows for this device; `undefined` where it knows none. */
  async publishedIdentity(): Promise<Identity | undefined> {
    const { userId, deviceId } = this.client.credentials;
    const reply = await this.client.call("POST", "/keys/query", { device_keys: { [userId]: [deviceId] } });
    const devices = (reply.device_keys as Record<string, Record<string, { keys: Record<string, string> }>>)[userId];
    const keys = devices?.[deviceId]?.keys;
    const [curve25519, ed25519] = [keys?.[`curve25519:${deviceId}`], keys?.[`ed25519:${deviceId}`]];
    return curve25519 === undefined || ed25519 === undefined ? undefined : { curve25519, ed25519 };
  }

  /** Sends what the engine has to send: its own keys, above all, at the first time. */
  flush(): Promise<void> {
    return flush(this.engine, this.client);
  }

  /**
   * One sync: takes the response in as one batch, sends what the engine then
   * has to send, and decrypts what has come.
   */
  async sync(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<SyncReport> {
    await this.#load();
    const query = new URLSearchParams({ timeout: String(options.timeoutMs ?? 0), filter: this.#filter });
    if (this.#since !== undefined) query.set("since", this.#since);
    const response = (await this.client.call(
      "GET",
      `/sync?${query}`,
      undefined,
      options.signal,
    )) as unknown as SyncResponse;
    const inbox = [...this.#inbox, ...(await messageEvents(this.client, response, this.#since))];
    await this.#takeIn(response, inbox);
    await this.flush();
    return {
      received: await this.#handOver(inbox),
      toDevice: response.to_device?.events?.length ?? 0,
      invitedTo: Object.keys(response.rooms?.invite ?? {}),
    };
  }

  /** Creates a room, encrypted by these settings. Answers with its id. */
  async createEncryptedRoom(invite: readonly string[], settings: JsonObject = {}): Promise<string> {
    const content = { algorithm: "m.megolm.v1.aes-sha2", ...settings };
    const reply = await this.client.call("POST", "/createRoom", {
      preset: "private_chat",
      invite,
      initial_state: [{ type: ENCRYPTION, state_key: "", content }],
    });
    return String(reply.room_id);
  }

  async join(roomId: string): Promise<void> {
    await this.client.call("POST", path("join", roomId));
  }

  /**
   * Sends an encrypted text, after the room key where its members do not have
   * it yet. Answers with the event's id.
   *
   * @throws HomeserverError `M_NOT_FOUND` where the room is not encrypted: nothing was sent
   */
  async sendText(roomId: string, body: string): Promise<string> {
    await this.shareRoomKey(roomId);
    const plain = JSON.stringify({ msgtype: "m.text", body });
    const content = await this.engine.run((machine) =>
      machine.encryptRoomEvent(new RoomId(roomId), "m.room.message", plain),
    );
    const endpoint = path("rooms", roomId, "send", "m.room.encrypted", randomUUID());
    return String((await this.client.call("PUT", endpoint, content)).event_id);
  }

  /** Makes sure that every device in a room has the key of what is sent there next. */
  async shareRoomKey(roomId: string): Promise<void> {
    const encryption = await this.client.call("GET", path("rooms", roomId, "state", ENCRYPTION));
    const { joined } = await this.client.call("GET", path("rooms", roomId, "joined_members"));
    // Made anew for each call, which takes them away.
    const members = (): UserId[] => Object.keys(joined as JsonObject).map((userId) => new UserId(userId));
    await this.engine.run((machine) => machine.updateTrackedUsers(members()));
    await this.flush();
    const claim = await this.engine.run(async (machine) => {
      const request = await machine.getMissingSessions(members());
      return request === null ? [] : [outgoing(request)];
    });
    await sendAll(this.engine, this.client, claim);
    const shares = await this.engine.run(async (machine) => {
      const settings = encryptionSettings(encryption);
      return (await machine.shareRoomKey(new RoomId(roomId), members(), settings)).map(outgoing);
    });
    await sendAll(this.engine, this.client, shares);
  }

  /** Reads a room's whole history from the homeserver, and decrypts it with the keys that the engine has. */
  async history(roomId: string): Promise<Received[]> {
    const events = (await history(this.client, roomId)).filter((event) => event.state_key === undefined);
    return this.engine.run((machine) => inTurn(events, (event) => receive(machine, event)));
  }

  async #load(): Promise<void> {
    if (this.#loaded) return;
    const progress = await this.#journal.load();
    this.#since = progress?.since;
    this.#inbox = progress?.inbox ?? [];
    this.#loaded = true;
  }

  async #takeIn(response: SyncResponse, inbox: readonly RoomEvent[]): Promise<void> {
    const { device_lists: lists, device_unused_fallback_key_types: fallback } = response;
    await this.engine.run(async (machine) => {
      const users = (ids: readonly string[] = []): UserId[] => ids.map((id) => new UserId(id));
      await machine.updateTrackedUsers(users(newMembers(response)));
      // A first sync does not say whose devices have changed meanwhile: anybody's may have.
      if (this.#since === undefined) await machine.markAllTrackedUsersAsDirty();
      await machine.receiveSyncChanges(
        "[]",
        new DeviceLists(users(lists?.changed), users(lists?.left)),
        new Map(Object.entries(response.device_one_time_keys_count ?? {})),
        fallback === undefined ? undefined : new Set(fallback),
      );
      // One at a time: of two copies of a room key in one call the engine keeps the last, however little it opens.
      await inTurn(response.to_device?.events ?? [], (event) =>
        machine.receiveSyncChangesMsc4186(JSON.stringify([event]), new DeviceLists(), new Map(), undefined),
      );
      await this.#journal.save({ since: response.next_batch, inbox });
      await this.#insideSync?.(response);
    });
    this.#since = response.next_batch;
    this.#inbox = inbox;
  }

  /** What is decrypted leaves the inbox, durably with the next sync: until then a crash means "again". */
  async #handOver(inbox: readonly RoomEvent[]): Promise<Received[]> {
    const received = await this.engine.run((machine) => inTurn(inbox, (event) => receive(machine, event)));
    this.#inbox = inbox.filter((_, index) => received[index]?.kind === "undecryptable");
    return received;
  }
}

/** The room's own settings for its keys; the engine's defaults where it has none. */
function encryptionSettings(content: JsonObject): EncryptionSettings {
  const settings = new EncryptionSettings();
  const { rotation_period_msgs: messages, rotation_period_ms: milliseconds } = content;
  if (typeof messages === "number") settings.rotationPeriodMessages = BigInt(messages);
  // The engine counts in microseconds.
  if (typeof milliseconds === "number") settings.rotationPeriod = BigInt(milliseconds) * 1_000n;
  return settings;
}

async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}
