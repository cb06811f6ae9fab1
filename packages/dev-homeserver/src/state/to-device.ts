import type { JsonObject } from "../http/json.ts";
import type { Accounts, Device } from "./accounts.ts";
import { DeviceMap } from "./device-map.ts";
import type { Stream } from "./stream.ts";

interface Message {
  readonly position: number;
  readonly event: JsonObject;
}

/** Messages of an inbox, and the position up to which they reach. */
export interface ToDevicePage {
  readonly events: readonly JsonObject[];
  readonly position: number;
}

/**
 * Messages from device to device. One is kept, and delivered again and again,
 * until its receiver syncs from a position behind it.
 */
export class ToDeviceMessages {
  readonly #accounts: Accounts;
  readonly #stream: Stream;
  readonly #inboxes = new DeviceMap<Message[]>();

  constructor(accounts: Accounts, stream: Stream) {
    this.#accounts = accounts;
    this.#stream = stream;
  }

  /** Sends to each device its content; the device id `*` is all devices of that user. Unknown devices get nothing. */
  send(sender: Device, type: string, messages: ReadonlyMap<string, ReadonlyMap<string, JsonObject>>): void {
    for (const [userId, devices] of messages) {
      for (const [deviceId, content] of devices) {
        for (const device of this.#accounts.devicesOf(userId)) {
          if (deviceId !== "*" && deviceId !== device.deviceId) continue;
          const event = { type, sender: sender.userId, content };
          this.#inboxes.getOrMake(device, () => []).push({ position: this.#stream.advance(), event });
        }
      }
    }
  }

  /** The oldest messages behind a position, at most `limit` of them; `upTo` is where the stream is now. */
  after(device: Device, position: number, limit: number): ToDevicePage {
    const inbox = this.#inboxes.get(device.userId, device.deviceId) ?? [];
    const pending = inbox.filter((message) => message.position > position);
    const page = pending.slice(0, limit);
    const last = page.at(-1);
    return {
      events: page.map((message) => message.event),
      position: pending.length > page.length && last !== undefined ? last.position : this.#stream.position,
    };
  }

  /** Forgets what the device has shown to have: everything up to this position. */
  acknowledge(device: Device, position: number): void {
    const inbox = this.#inboxes.get(device.userId, device.deviceId);
    const kept = inbox?.findIndex((message) => message.position > position) ?? -1;
    inbox?.splice(0, kept === -1 ? inbox.length : kept);
  }

  /** How many messages wait for a device. */
  waiting(userId: string, deviceId: string): number {
    return this.#inboxes.get(userId, deviceId)?.length ?? 0;
  }

  forget(device: Device): void {
    this.#inboxes.delete(device);
  }
}
