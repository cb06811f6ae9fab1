import { type Change, messageOf } from "@holdfast/key-store-core";
import type { JsonObject } from "../http/homeserver-api.ts";
import type { SealedCollection } from "../records/sealed-collection.ts";
import { fillGap, isOfNoGap } from "./gap.ts";
import type { RoomEvent, RoomUpdate } from "./room-update.ts";
import { newEvents, type Since, sinceJoining, type TimelineParts } from "./timeline.ts";

/** A gap in a room's timeline that could not be filled when the sync that told of it was taken in. */
export interface OpenGap extends JsonObject {
  readonly roomId: string;
  readonly from: string;
  readonly to: string;
  /** Whether this user was in the room at its beginning. */
  readonly wasJoined: boolean;
  /** How often it was tried since. */
  readonly failures: number;
  /** When it is tried again at the earliest, in milliseconds since 1970. */
  readonly notBefore: number;
}

/** Events that are news, and what is committed with them. */
export interface News {
  readonly roomId: string;
  readonly events: readonly RoomEvent[];
  readonly changes: readonly Change[];
}

/** How many gaps are kept, and how often each is tried: for about a day. */
const MOST_GAPS = 1_000;
const MOST_FAILURES = 30;
const FIRST_MS = 5_000;
const LONGEST_MS = 3_600_000;

/**
 * The gaps of timelines. One that cannot be filled does not hold up the syncs
 * of all rooms for long: it is written down with the sync's token, tried again
 * at later syncs, and its events are delivered then.
 */
export class OpenGaps {
  readonly #records: SealedCollection<OpenGap>;
  readonly #parts: TimelineParts;
  /** Rooms whose last gap could not be filled. */
  readonly #failing = new Set<string>();
  /** The token of a sync that has failed for a gap. */
  #failedSince: string | undefined;
  #mayBeOpen = true;

  constructor(records: SealedCollection<OpenGap>, parts: TimelineParts) {
    this.#records = records;
    this.#parts = parts;
  }

  /**
   * What a response tells of a room, and what it left out. Where that cannot be
   * fetched the first time, the whole sync fails: the homeserver may be away.
   * When the same sync has come again, gaps that still cannot be filled are left open.
   *
   * @throws what `HomeserverApi.request` and reads of a device store throw
   */
  async newsOf(update: RoomUpdate, since: Since, signal: AbortSignal): Promise<News> {
    const { roomId, timeline, prevBatch: from } = update;
    const { token: to, wasJoined } = since;
    const once = this.#failing.has(roomId) || this.#failedSince === to;
    try {
      const events = await newEvents(this.#parts, update, since, signal, once);
      this.#failing.delete(roomId);
      return { roomId, events, changes: [] };
    } catch (error) {
      this.#failing.add(roomId);
      this.#failedSince = to;
      if (!once || from === undefined || isOfNoGap(error, signal)) throw error;
      return { roomId, events: timeline, changes: await this.#leaveOpen({ roomId, from, to, wasJoined }, error) };
    }
  }

  /**
   * Tries a gap that was left open, where one is due.
   *
   * @throws what reads of a device store throw; the signal's reason; `M_UNKNOWN_TOKEN`
   */
  async tryOne(signal: AbortSignal): Promise<News | undefined> {
    if (!this.#mayBeOpen) return undefined;
    const open = await this.#records.list({}, { limit: MOST_GAPS });
    this.#mayBeOpen = open.length > 0;
    const due = open.find(({ value }) => value.notBefore <= Date.now());
    if (due === undefined) return undefined;
    const { api, gapLimit: limit, userId, logger } = this.#parts;
    const { key, value: gap } = due;
    const { roomId, from, to, wasJoined } = gap;
    try {
      const { events } = await fillGap(api, { roomId, from, to, limit, signal, once: true });
      this.#failing.delete(roomId);
      logger.info(`${events.length} events that ${roomId} had missed were fetched`);
      return {
        roomId,
        events: wasJoined ? events : sinceJoining(events, userId),
        changes: [this.#records.delete(key)],
      };
    } catch (error) {
      if (isOfNoGap(error, signal)) throw error;
      const failures = gap.failures + 1;
      if (failures < MOST_FAILURES) {
        const notBefore = Date.now() + Math.min(LONGEST_MS, FIRST_MS * 2 ** gap.failures);
        return { roomId, events: [], changes: [this.#records.put(key, { ...gap, failures, notBefore })] };
      }
      logger.error(`Events that ${roomId} has missed are given up after ${failures} attempts: ${messageOf(error)}`);
      return { roomId, events: [], changes: [this.#records.delete(key)] };
    }
  }

  async #leaveOpen(gap: Pick<OpenGap, "roomId" | "from" | "to" | "wasJoined">, error: unknown): Promise<Change[]> {
    const { logger } = this.#parts;
    if ((await this.#records.count()) >= MOST_GAPS) {
      logger.error(`Events that ${gap.roomId} has missed are given up, too many are open: ${messageOf(error)}`);
      return [];
    }
    logger.warn(`Events that ${gap.roomId} has missed are fetched later, after newer ones: ${messageOf(error)}`);
    this.#mayBeOpen = true;
    const key = this.#records.keyOf(gap.roomId, gap.from);
    return [this.#records.put(key, { ...gap, failures: 0, notBefore: 0 })];
  }
}
