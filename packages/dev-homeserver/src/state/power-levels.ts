import { isObject, type JsonObject } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import type { Room } from "./room.ts";

/** The acts that have a level of their own. */
export type Act = "invite" | "kick" | "ban" | "redact";

const DEFAULTS: Readonly<Record<Act, number>> = { invite: 0, kick: 50, ban: 50, redact: 50 };

/** From this version on, who made a room stands above every level. */
const VERSION_WITH_CREATORS = 12;

/** Who may do what in a room, as its power levels are now. */
export class PowerLevels {
  readonly #room: Room;
  readonly #content: JsonObject | undefined;

  constructor(room: Room) {
    this.#room = room;
    this.#content = room.stateEvent("m.room.power_levels")?.content;
  }

  of(userId: string): number {
    const creator = this.#room.stateEvent("m.room.create")?.sender;
    if (userId === creator && Number(this.#room.version) >= VERSION_WITH_CREATORS) return Number.POSITIVE_INFINITY;
    if (this.#content === undefined) return userId === creator ? 100 : 0;
    return numberOf(entry(this.#content.users, userId), numberOf(this.#content.users_default, 0));
  }

  /** What an event of this type needs. */
  toSend(type: string, isState: boolean): number {
    const otherwise = isState
      ? numberOf(this.#content?.state_default, this.#content === undefined ? 0 : 50)
      : numberOf(this.#content?.events_default, 0);
    return numberOf(entry(this.#content?.events, type), otherwise);
  }

  /** What an act needs. */
  to(act: Act): number {
    return numberOf(this.#content?.[act], DEFAULTS[act]);
  }

  /** @throws MatrixError `M_FORBIDDEN` */
  demand(userId: string, level: number): void {
    const own = this.of(userId);
    if (own < level) {
      throw new MatrixError(403, "M_FORBIDDEN", `your power level is ${own}, and ${level} is needed`);
    }
  }
}

function entry(levels: unknown, name: string): unknown {
  return isObject(levels) ? levels[name] : undefined;
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}
