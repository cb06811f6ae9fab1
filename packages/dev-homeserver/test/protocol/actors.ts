import type { TestHomeserver } from "../../src/index.ts";
import { HomeserverClient, path } from "../../src/party/homeserver-client.ts";

export { HomeserverClient, path };

/** An event, as far as the suite looks into it. */
export interface Event {
  readonly type: string;
  readonly event_id: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: Record<string, unknown>;
  readonly unsigned?: Record<string, unknown>;
}

interface RoomTidings {
  readonly timeline: { readonly events: readonly Event[]; readonly limited: boolean; readonly prev_batch: string };
  readonly state: { readonly events: readonly Event[] };
  readonly summary?: Record<string, unknown>;
  readonly account_data: { readonly events: readonly Event[] };
}

type Outside = Record<"invite_state" | "knock_state", { readonly events: readonly Event[] }>;

/** The answer to a sync, as far as the suite looks into it; a server leaves out what there is nothing of. */
export interface SyncReply {
  readonly next_batch: string;
  readonly rooms?: {
    readonly join?: Record<string, RoomTidings>;
    readonly leave?: Record<string, RoomTidings>;
    readonly invite?: Record<string, Outside>;
    readonly knock?: Record<string, Outside>;
  };
  readonly account_data?: { readonly events: readonly Event[] };
  readonly to_device?: { readonly events: readonly Event[] };
  readonly device_lists?: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
  readonly device_one_time_keys_count: Record<string, number>;
  readonly device_unused_fallback_key_types: readonly string[];
}

export interface Page {
  readonly chunk: readonly Event[];
  readonly end?: string;
}

/** A server with users who have never met anybody. */
export class World {
  readonly server: TestHomeserver;
  #users = 0;

  constructor(server: TestHomeserver) {
    this.server = server;
  }

  /** A new user whose password is `"secret"`, logged in with the device `DEVICE`. */
  async actor(): Promise<Actor> {
    this.#users += 1;
    const localpart = `user${this.#users}.${Date.now().toString(36)}`;
    const { userId } = await this.server.registerUser(localpart, "secret");
    return this.login(userId, "DEVICE");
  }

  async actors(count: number): Promise<Actor[]> {
    const actors: Actor[] = [];
    for (let n = 0; n < count; n += 1) actors.push(await this.actor());
    return actors;
  }

  /** Another device of a user who is there. */
  async login(userId: string, deviceId: string): Promise<Actor> {
    return new Actor(await HomeserverClient.login(this.server.baseUrl, userId, "secret", deviceId));
  }

  /** A call below the server's address without an access token. */
  async bare(method: string, endpoint: string, body?: object, token?: string): Promise<Answer> {
    const response = await fetch(`${this.server.baseUrl}${endpoint}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
}

/** What a call was answered, be it an error. */
export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** One logged-in device. */
export class Actor {
  readonly client: HomeserverClient;
  readonly userId: string;
  readonly deviceId: string;
  readonly token: string;
  #syncs = 0;

  constructor(client: HomeserverClient) {
    this.client = client;
    this.userId = client.credentials.userId;
    this.deviceId = client.credentials.deviceId;
    this.token = client.credentials.accessToken;
  }

  call(method: string, endpoint: string, body?: object): Promise<Record<string, unknown>> {
    return this.client.call(method, endpoint, body as Record<string, unknown> | undefined);
  }

  async sync(since?: string, parameters: Record<string, string> = {}): Promise<SyncReply> {
    // No two are alike: a server may answer an identical sync as it did before.
    this.#syncs += 1;
    const timeout = String(this.#syncs);
    const query = new URLSearchParams({ timeout, ...(since === undefined ? {} : { since }), ...parameters });
    return (await this.call("GET", `/sync?${query}`)) as unknown as SyncReply;
  }

  async newRoom(options: object = {}, ...others: Actor[]): Promise<string> {
    const invite = others.map((other) => other.userId);
    const room = String(
      (await this.call("POST", "/createRoom", { preset: "private_chat", invite, ...options })).room_id,
    );
    for (const other of others) await other.call("POST", path("join", room));
    return room;
  }

  /** Sends a text; answers with the event's id. */
  async say(room: string, body: string, txnId = body): Promise<string> {
    const content = { msgtype: "m.text", body };
    return String((await this.call("PUT", path("rooms", room, "send", "m.room.message", txnId), content)).event_id);
  }

  async setState(room: string, type: string, content: object, stateKey = ""): Promise<string> {
    return String((await this.call("PUT", path("rooms", room, "state", type, stateKey), content)).event_id);
  }

  /** Joins, leaves, or does the like to another. */
  async act(room: string, act: string, other?: Actor): Promise<void> {
    await this.call("POST", path("rooms", room, act), other === undefined ? {} : { user_id: other.userId });
  }

  async messages(room: string, parameters: Record<string, string>): Promise<Page> {
    const query = new URLSearchParams({ limit: "100", ...parameters });
    return (await this.call("GET", `${path("rooms", room, "messages")}?${query}`)) as unknown as Page;
  }
}

/** The texts of messages, in order. */
export function bodies(events: readonly Event[] | undefined): unknown[] {
  return (events ?? []).filter((event) => event.type === "m.room.message").map((event) => event.content.body);
}

export function types(events: readonly Event[] | undefined): string[] {
  return (events ?? []).map((event) => event.type);
}

/** The members that member events are about. */
export function members(events: readonly Event[] | undefined): (string | undefined)[] {
  return (events ?? []).filter((event) => event.type === "m.room.member").map((event) => event.state_key);
}

export const FORBIDDEN = { status: 403, errcode: "M_FORBIDDEN" };
export const NOT_FOUND = { status: 404, errcode: "M_NOT_FOUND" };
