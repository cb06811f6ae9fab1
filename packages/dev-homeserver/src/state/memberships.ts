import type { JsonObject } from "../http/json.ts";
import { MatrixError } from "../http/matrix-error.ts";
import { PowerLevels } from "./power-levels.ts";
import type { Profiles } from "./profiles.ts";
import type { Membership, Room, RoomEvent } from "./room.ts";

/** What a membership event says besides the membership. */
export interface MembershipDetails {
  readonly reason?: string | undefined;
  readonly isDirect?: boolean | undefined;
}

/** Changes of who is what to a room, each where the room's rules allow it. */
export class Memberships {
  readonly #profiles: Profiles;

  constructor(profiles: Profiles) {
    this.#profiles = profiles;
  }

  /** @throws MatrixError `M_FORBIDDEN` where the user is neither invited nor the room public; `M_BAD_STATE` where it is banned */
  join(room: Room, userId: string, details: MembershipDetails = {}): void {
    const membership = room.membership(userId)?.membership;
    if (membership === "join") return;
    if (membership === "ban") throw new MatrixError(403, "M_BAD_STATE", "Cannot join user who was banned");
    if (membership !== "invite" && joinRule(room) !== "public") {
      throw new MatrixError(403, "M_FORBIDDEN", "You are not invited to this room.");
    }
    this.set(room, userId, userId, "join", details);
  }

  /** @throws MatrixError `M_FORBIDDEN` where the room takes no knocks, or the user is in it, invited or banned */
  knock(room: Room, userId: string, details: MembershipDetails = {}): void {
    const membership = room.membership(userId)?.membership;
    if (membership === "knock") return;
    const takesKnocks = ["knock", "knock_restricted"].includes(String(joinRule(room)));
    if (!takesKnocks || membership === "join" || membership === "invite" || membership === "ban") {
      throw new MatrixError(403, "M_FORBIDDEN", "You don't have permission to knock");
    }
    this.set(room, userId, userId, "knock", details);
  }

  /** @throws MatrixError `M_FORBIDDEN` where the user is neither in the room nor invited */
  leave(room: Room, userId: string, details: MembershipDetails = {}): void {
    const membership = room.membership(userId)?.membership;
    if (membership === "leave") return;
    if (membership === undefined || membership === "ban") {
      throw new MatrixError(403, "M_FORBIDDEN", "you are not in this room");
    }
    this.set(room, userId, userId, "leave", details);
  }

  /** @throws MatrixError `M_FORBIDDEN` where the inviter may not, or the other is joined; `M_BAD_STATE` where that is banned */
  invite(room: Room, userId: string, invited: string, details: MembershipDetails = {}): void {
    this.#demandJoined(room, userId);
    const levels = new PowerLevels(room);
    levels.demand(userId, levels.to("invite"));
    const membership = room.membership(invited)?.membership;
    if (membership === "join") throw new MatrixError(403, "M_FORBIDDEN", `${invited} is already in the room.`);
    if (membership === "ban") throw new MatrixError(403, "M_BAD_STATE", "Cannot invite user who was banned");
    if (membership !== "invite") this.set(room, userId, invited, "invite", details);
  }

  /** @throws MatrixError `M_FORBIDDEN` where the one may not, or the other is not there */
  kick(room: Room, userId: string, kicked: string, details: MembershipDetails = {}): void {
    this.#demandOver(room, userId, kicked, "kick");
    const membership = room.membership(kicked)?.membership;
    if (membership !== "join" && membership !== "invite" && membership !== "knock") {
      throw new MatrixError(403, "M_FORBIDDEN", "The target user is not in the room");
    }
    this.set(room, userId, kicked, "leave", details);
  }

  /** @throws MatrixError `M_FORBIDDEN` where the one may not */
  ban(room: Room, userId: string, banned: string, details: MembershipDetails = {}): void {
    this.#demandOver(room, userId, banned, "ban");
    if (room.membership(banned)?.membership !== "ban") this.set(room, userId, banned, "ban", details);
  }

  /** @throws MatrixError `M_FORBIDDEN` where the one may not, or the other is not banned */
  unban(room: Room, userId: string, banned: string, details: MembershipDetails = {}): void {
    this.#demandOver(room, userId, banned, "ban");
    if (room.membership(banned)?.membership !== "ban") {
      throw new MatrixError(403, "M_BAD_STATE", "Cannot unban user who was not banned");
    }
    this.set(room, userId, banned, "leave", details);
  }

  /** Appends the event that makes a user what it is then, with its name where it comes or is asked to. */
  set(room: Room, sender: string, userId: string, membership: Membership, details: MembershipDetails = {}): RoomEvent {
    const shown = membership === "leave" || membership === "ban" ? {} : this.#profiles.find(userId);
    const content: JsonObject = {
      ...shown,
      membership,
      ...(details.reason === undefined ? {} : { reason: details.reason }),
      ...(details.isDirect === true ? { is_direct: true } : {}),
    };
    return room.append(sender, { type: "m.room.member", stateKey: userId, content });
  }

  #demandJoined(room: Room, userId: string): void {
    if (!room.isJoined(userId)) throw new MatrixError(403, "M_FORBIDDEN", `User ${userId} not in room ${room.roomId}`);
  }

  #demandOver(room: Room, userId: string, other: string, act: "kick" | "ban"): void {
    this.#demandJoined(room, userId);
    const levels = new PowerLevels(room);
    levels.demand(userId, levels.to(act));
    if (levels.of(other) >= levels.of(userId)) {
      throw new MatrixError(403, "M_FORBIDDEN", `You cannot ${act} user ${other}.`);
    }
  }
}

function joinRule(room: Room): unknown {
  return room.stateEvent("m.room.join_rules")?.content.join_rule;
}
