import type { JsonObject } from "../http/json.ts";
import type { AccountData } from "./account-data.ts";
import type { Device } from "./accounts.ts";
import type { DeviceLists } from "./device-lists.ts";
import type { SyncFilter } from "./filters.ts";
import type { Keys } from "./keys.ts";
import type { KnownMembers } from "./known-members.ts";
import { PUSH_RULES } from "./push-rules.ts";
import type { Rooms } from "./rooms.ts";
import type { Stream } from "./stream.ts";
import { roomSections } from "./sync-rooms.ts";
import { formatSyncToken, START, type SyncToken } from "./sync-token.ts";
import type { ToDeviceMessages } from "./to-device.ts";

/** What one sync asks for. */
export interface SyncRequest {
  readonly device: Device;
  /** `undefined` asks for everything. */
  readonly since: SyncToken | undefined;
  readonly filter: SyncFilter;
  /** All the state of all joined rooms, whatever `since` says. */
  readonly fullState: boolean;
  /** How long to wait for something to tell, in milliseconds. A first sync does not wait. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What a sync tells of. */
export interface SyncSources {
  readonly stream: Stream;
  readonly rooms: Rooms;
  readonly keys: Keys;
  readonly deviceLists: DeviceLists;
  readonly toDevice: ToDeviceMessages;
  readonly accountData: AccountData;
  readonly knownMembers: KnownMembers;
  /** The most to-device messages in one response. */
  readonly toDeviceLimit: number;
}

interface Tidings {
  readonly response: JsonObject;
  readonly empty: boolean;
}

/** Puts the responses of `/sync` together. */
export class Sync {
  readonly #sources: SyncSources;

  constructor(sources: SyncSources) {
    this.#sources = sources;
  }

  /** The next response for a device: at once where there is something to tell, else as soon as there is. */
  async next(request: SyncRequest): Promise<JsonObject> {
    const { device, since, fullState, timeoutMs, signal } = request;
    if (since !== undefined) this.#sources.toDevice.acknowledge(device, since.toDevice);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { response, empty } = this.#tidings(request);
      const left = deadline - performance.now();
      if (since === undefined || fullState || !empty || left <= 0 || signal.aborted) return response;
      await this.#sources.stream.change(left, signal);
    }
  }

  #tidings(request: SyncRequest): Tidings {
    const { device, since: given, filter } = request;
    const { stream, keys, deviceLists, toDevice, toDeviceLimit } = this.#sources;
    const since = given ?? START;
    const rooms = roomSections(this.#sources, request);
    const messages = toDevice.after(device, since.toDevice, toDeviceLimit);
    const accountData = this.#accountData(request).filter((event) => filter.accountData.matches(event));
    // A first sync says nothing of device lists: the client knows nobody's yet.
    const lists = given === undefined ? { changed: [], left: [] } : deviceLists.after(device.userId, since.stream);
    // What there is nothing of is left out, as real servers do it.
    const news: JsonObject = {
      ...(Object.keys(rooms).length === 0 ? {} : { rooms }),
      ...(messages.events.length === 0 ? {} : { to_device: { events: messages.events } }),
      ...(accountData.length === 0 ? {} : { account_data: { events: accountData } }),
      ...(lists.changed.length === 0 && lists.left.length === 0 ? {} : { device_lists: lists }),
    };
    const oneTimeKeys = keys.oneTimeKeys(device);
    const response = {
      next_batch: formatSyncToken({ stream: stream.position, toDevice: messages.position }),
      ...news,
      device_one_time_keys_count: oneTimeKeys.counts(),
      device_unused_fallback_key_types: oneTimeKeys.unusedFallbackTypes(),
    };
    return { response, empty: Object.keys(news).length === 0 };
  }

  #accountData({ device, since }: SyncRequest): { readonly type: string; readonly content: JsonObject }[] {
    const set = this.#sources.accountData.after(device.userId, "", since?.stream ?? 0);
    return since === undefined ? [{ type: "m.push_rules", content: PUSH_RULES }, ...set] : set;
  }
}
