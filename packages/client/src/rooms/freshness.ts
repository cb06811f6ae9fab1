import type { Encryption } from "../crypto/encryption.ts";

/** What a room may change while nobody tells of it. That it is encrypted it cannot. */
export type Changeable = "encryption" | "historyVisibility";

/** What this process knows of what is known of a room. */
interface Mark {
  /** How often this user has left or joined. */
  doubts: number;
  /** What was told or asked since. */
  readonly confirmed: Set<Changeable>;
}

/**
 * How far what is known of rooms may be believed. A record is as old as the last
 * sync of the process that wrote it, and nothing is told of a room while this
 * user is not in it. So it counts where this process has taken in a sync on the
 * store that holds it, and for as long as this user has neither left nor joined
 * since; else where the homeserver was asked.
 */
export class Freshness {
  /** The encryptions whose stores a sync of this process has brought up to date. */
  readonly #synced = new WeakSet<Encryption>();
  readonly #marks = new Map<string, Mark>();

  /** A sync was taken in on the store of this encryption, with all that it told. */
  synced(encryption: Encryption): void {
    this.#synced.add(encryption);
  }

  /** This user has left the room or joined it, or may have: nothing that was known counts. */
  doubt(roomId: string): void {
    const mark = this.#mark(roomId);
    mark.doubts += 1;
    mark.confirmed.clear();
  }

  /** How often a room was doubted: an answer counts where that is the same as when it was asked for. */
  doubts(roomId: string): number {
    return this.#marks.get(roomId)?.doubts ?? 0;
  }

  /** The homeserver was asked, after the last doubt. */
  confirm(roomId: string, what: Changeable): void {
    this.#mark(roomId).confirmed.add(what);
  }

  /** A sync has told all of the room, which may be what was before the last doubt. */
  told(roomId: string): void {
    if (this.doubts(roomId) > 0) return;
    this.confirm(roomId, "encryption");
    this.confirm(roomId, "historyVisibility");
  }

  /** Whether what is known counts. `encryption` is the one whose store it is in; `undefined` while that is away. */
  counts(roomId: string, what: Changeable, encryption: Encryption | undefined): boolean {
    if (this.#marks.get(roomId)?.confirmed.has(what)) return true;
    if (this.doubts(roomId) > 0 || encryption === undefined || !this.#synced.has(encryption)) return false;
    // As syncs go on, so it does when the store goes away.
    this.confirm(roomId, what);
    return true;
  }

  #mark(roomId: string): Mark {
    let mark = this.#marks.get(roomId);
    if (mark === undefined) {
      mark = { doubts: 0, confirmed: new Set() };
      this.#marks.set(roomId, mark);
    }
    return mark;
  }
}
