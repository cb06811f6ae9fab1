import type { Device } from "./accounts.ts";
import { DeviceMap } from "./device-map.ts";
import type { Room, RoomEvent } from "./room.ts";

/**
 * Which member events a device was sent, where it asked for lazy loading: they
 * are not sent again until it begins anew without a `since`.
 */
export class KnownMembers {
  readonly #sent = new DeviceMap<Map<string, Set<string>>>();

  /** Those events that the device has not been sent in this room; they then count as sent. */
  onlyNew(device: Device, room: Room, members: readonly RoomEvent[]): RoomEvent[] {
    const rooms = this.#sent.getOrMake(device, () => new Map());
    const sent = rooms.get(room.roomId) ?? new Set<string>();
    rooms.set(room.roomId, sent);
    const unsent = members.filter((event) => !sent.has(event.eventId));
    for (const event of unsent) sent.add(event.eventId);
    return unsent;
  }

  forget(device: Device): void {
    this.#sent.delete(device);
  }
}
