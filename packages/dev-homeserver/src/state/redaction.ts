import type { JsonObject } from "../http/json.ts";
import type { RoomEvent } from "./room.ts";

const KEPT: Readonly<Record<string, readonly string[]>> = {
  "m.room.member": ["membership", "join_authorised_via_users_server"],
  "m.room.join_rules": ["join_rule", "allow"],
  "m.room.history_visibility": ["history_visibility"],
  "m.room.redaction": ["redacts"],
  "m.room.power_levels": [
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
  ],
};

/** What is left of an event's content once it is redacted, as room version 11 has it. */
export function redacted({ type, content }: RoomEvent): JsonObject {
  if (type === "m.room.create") return content;
  const kept = KEPT[type] ?? [];
  return Object.fromEntries(Object.entries(content).filter(([field]) => kept.includes(field)));
}
