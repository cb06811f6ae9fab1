import type { Logger } from "@holdfast/key-store-core";
import * as v from "valibot";
import { MatrixClientError } from "../errors.ts";
import type { HomeserverApi } from "../http/homeserver-api.ts";
import { path } from "../http/path.ts";
import { abortable } from "../send/abortable.ts";
import type { RoomUpdate } from "../sync/room-update.ts";

/** Those who get a room's keys: the others have left, were banned, or knock. */
export type MemberKind = "join" | "invite";

/** How many rooms' members are kept; those of the room that was asked for longest ago go first. */
const MAX_ROOMS = 1_000;

/** What the client keeps of a room's members, from the moment it began to ask for them. */
interface Kept {
  readonly loading: Promise<void>;
  readonly members: Map<string, MemberKind>;
  /** What syncs have told while they were being asked for, in order. */
  readonly since: MemberEvent[];
  loaded: boolean;
  /** Another one with every change of them, and for each time they are asked for. */
  version: number;
}

const memberEvent = v.object({
  type: v.literal("m.room.member"),
  state_key: v.pipe(v.string(), v.regex(/^@[^:]*:.+$/), v.maxBytes(255)),
  content: v.object({ membership: v.string() }),
});

type MemberEvent = v.InferOutput<typeof memberEvent>;

/**
 * Who is in the rooms that this process sends to, in memory: fetched when first
 * needed, kept by what syncs tell, thrown away when a sync has left something out.
 */
export class Members {
  readonly #api: HomeserverApi;
  readonly #logger: Logger;
  readonly #closing: AbortSignal;
  readonly #rooms = new Map<string, Kept>();
  #versions = 0;

  constructor(options: { readonly api: HomeserverApi; readonly logger: Logger; readonly closing: AbortSignal }) {
    this.#api = options.api;
    this.#logger = options.logger;
    this.#closing = options.closing;
  }

  /** Takes in what a sync tells of a room's members. */
  takeIn({ roomId, membership, limited, state, timeline }: RoomUpdate): void {
    const kept = this.#rooms.get(roomId);
    if (kept === undefined) return;
    if (limited || membership !== "join") {
      this.#rooms.delete(roomId);
      return;
    }
    const events = this.#memberEvents(roomId, [...state, ...timeline]);
    if (kept.loaded) this.#apply(kept, events);
    // The answer under way may be older than these: they come on top of it.
    else kept.since.push(...events);
  }

  /**
   * The joined and invited members of a room.
   *
   * @throws what `HomeserverApi.request` throws, and the signal's reason: who is in the room is then unknown
   */
  async of(roomId: string, signal?: AbortSignal): Promise<ReadonlyMap<string, MemberKind>> {
    for (;;) {
      const kept = this.#rooms.get(roomId) ?? this.#fetch(roomId);
      await abortable(kept.loading, signal);
      // A sync that left something out may have come meanwhile: then the answer counts for nothing.
      if (this.#rooms.get(roomId) === kept) return kept.members;
    }
  }

  /** Tells whether what is kept of a room is the same as before; 0 where nothing is. */
  version(roomId: string): number {
    return this.#rooms.get(roomId)?.version ?? 0;
  }

  /** Throws away what is kept of a room. */
  forget(roomId: string): void {
    this.#rooms.delete(roomId);
  }

  #fetch(roomId: string): Kept {
    const load = async (): Promise<void> => {
      try {
        const answer = await this.#api.request("GET", path`/v3/rooms/${roomId}/members`, {
          query: { not_membership: "leave" },
          signal: this.#closing,
        });
        if (!Array.isArray(answer.chunk)) {
          throw new MatrixClientError("HOMESERVER_UNREACHABLE", "the homeserver's list of members is malformed");
        }
        this.#apply(kept, this.#memberEvents(roomId, answer.chunk));
        this.#apply(kept, kept.since.splice(0));
        kept.loaded = true;
      } catch (error) {
        if (this.#rooms.get(roomId) === kept) this.#rooms.delete(roomId);
        throw this.#closing.aborted ? new MatrixClientError("CLOSED", "the client was closed") : error;
      }
    };
    const loading = Promise.resolve().then(load);
    this.#versions += 1;
    const kept: Kept = { members: new Map(), since: [], loaded: false, loading, version: this.#versions };
    kept.loading.catch(() => {});
    this.#rooms.set(roomId, kept);
    const oldest = this.#rooms.keys().next();
    if (this.#rooms.size > MAX_ROOMS && oldest.done !== true) this.#rooms.delete(oldest.value);
    return kept;
  }

  #memberEvents(roomId: string, events: readonly unknown[]): MemberEvent[] {
    const isMember = (event: unknown): boolean => (event as { type?: unknown } | null)?.type === "m.room.member";
    return events.filter(isMember).flatMap((event) => {
      const parsed = v.safeParse(memberEvent, event);
      if (parsed.success) return [parsed.output];
      this.#logger.warn(`A malformed member event in ${roomId} was ignored`);
      return [];
    });
  }

  #apply(kept: Kept, events: readonly MemberEvent[]): void {
    for (const { state_key: userId, content } of events) {
      const { membership } = content;
      const kind = membership === "join" || membership === "invite" ? membership : undefined;
      if (kept.members.get(userId) === kind) continue;
      if (kind === undefined) kept.members.delete(userId);
      else kept.members.set(userId, kind);
      this.#versions += 1;
      kept.version = this.#versions;
    }
  }
}
