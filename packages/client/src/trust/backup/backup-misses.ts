/** How many room keys are remembered. */
const MOST = 2_000;
const REMEMBERED_MS = 300_000;

/**
 * Room keys that one backup was asked for and did not have, in memory: they are
 * not asked for again with each event that needs them. Forgotten after five
 * minutes, when there are too many, and with another backup.
 */
export class BackupMisses {
  readonly #now: () => number;
  #backup: string | undefined;
  /** When each was missed, by its name; the oldest first. */
  readonly #missedAt = new Map<string, number>();

  /** @param now in milliseconds. Default: the time since the process began */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  has(backup: string, roomId: string, sessionId: string): boolean {
    if (backup !== this.#backup) return false;
    const at = this.#missedAt.get(nameOf(roomId, sessionId));
    return at !== undefined && this.#now() - at < REMEMBERED_MS;
  }

  add(backup: string, roomId: string, sessionId: string): void {
    if (backup !== this.#backup) this.#missedAt.clear();
    this.#backup = backup;
    const name = nameOf(roomId, sessionId);
    this.#missedAt.delete(name);
    this.#missedAt.set(name, this.#now());
    const [oldest] = this.#missedAt.keys();
    if (this.#missedAt.size > MOST && oldest !== undefined) this.#missedAt.delete(oldest);
  }
}

function nameOf(roomId: string, sessionId: string): string {
  return JSON.stringify([roomId, sessionId]);
}
