import type { Rooms } from "./rooms.ts";
import type { Stream } from "./stream.ts";

/** What a sync says about other users' devices. */
export interface DeviceListChanges {
  readonly changed: string[];
  readonly left: string[];
}

/** Whose keys changed when, and who is to know. */
export class DeviceLists {
  readonly #stream: Stream;
  readonly #rooms: Rooms;
  readonly #changes = new Map<string, number>();

  constructor(stream: Stream, rooms: Rooms) {
    this.#stream = stream;
    this.#rooms = rooms;
  }

  /** A user's device or cross-signing keys are others than before. */
  changed(userId: string): void {
    this.#changes.set(userId, this.#stream.advance());
  }

  /**
   * For one user, behind a position: who shares a room and has other keys, or
   * has come to share a room; and who shares none any more.
   */
  after(userId: string, position: number): DeviceListChanges {
    const sharing = new Set([userId]);
    const changed = new Set<string>();
    const parted = new Set<string>();
    for (const room of this.#rooms.all()) {
      const own = room.membership(userId);
      if (own === undefined) continue;
      const ownIsNew = own.since > position;
      for (const [member, { membership, since }] of room.members()) {
        const isNew = ownIsNew || since > position;
        if (own.membership === "join" && membership === "join") {
          sharing.add(member);
          if (isNew) changed.add(member);
        } else if (isNew && own.membership !== "invite" && membership !== "invite") {
          parted.add(member);
        }
      }
    }
    for (const [member, at] of this.#changes) if (at > position && sharing.has(member)) changed.add(member);
    return { changed: [...changed], left: [...parted].filter((member) => !sharing.has(member)) };
  }
}
