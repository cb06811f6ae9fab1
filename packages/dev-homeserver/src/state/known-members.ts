import type { Device } from "./accounts.ts";
import { DeviceMap } from "./device-map.ts";
import type { RoomEvent } from "./room.ts";

/**
 * Which member events a device was sent, where it asked for lazy loading: they
 * are not sent again until it begins anew without a `since`. As Synapse
 * remembers it: of each member one event, so that who is in two rooms is told
 * again when the room changes.
 */
export class KnownMembers {
  readonly #sent = new DeviceMap<Map<string, string>>();

  /** Those events that the device has not been sent last of their member; they then count as sent. */
  onlyNew(device: Device, members: readonly RoomEvent[]): RoomEvent[] {
    const sent = this.#sent.getOrMake(device, () => new Map());
    const unsent = members.filter((event) => sent.get(event.stateKey ?? "") !== event.eventId);
    for (const event of unsent) sent.set(event.stateKey ?? "", event.eventId);
    return unsent;
  }

  forget(device: Device): void {
    this.#sent.delete(device);
  }
}
