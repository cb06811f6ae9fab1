import type { ModeEvent } from "./availability/client-mode.ts";
import type { SenderTrust } from "./crypto/decrypt.ts";
import type { JsonObject } from "./http/homeserver-api.ts";
import type { RoomEvent, StrippedEvent } from "./sync/room-update.ts";
import type { BackupState } from "./trust/backup/key-backup.ts";

/** An event of a room, decrypted where it was encrypted. */
export interface IncomingEvent {
  readonly roomId: string;
  /** Delivery is at least once: tell events apart by this. */
  readonly eventId: string;
  readonly sender: string;
  /** The type inside, for one that was encrypted. */
  readonly type: string;
  readonly content: JsonObject;
  /** There for state events only. */
  readonly stateKey: string | undefined;
  /** When the sender's homeserver says it was sent, in milliseconds since 1970. */
  readonly timestamp: number;
  /** Whether it came encrypted. */
  readonly encrypted: boolean;
  /** How far its sender is known; `undefined` for one that was not encrypted, of which nothing is known. */
  readonly trust: SenderTrust | undefined;
  /** Whether it was reported as undecryptable before: its key came late. */
  readonly late: boolean;
  /** The event as the homeserver gave it. */
  readonly raw: RoomEvent;
}

/** An event whose content stays closed, for now or for good. */
export interface UndecryptableEvent {
  readonly roomId: string;
  readonly eventId: string;
  readonly sender: string;
  readonly timestamp: number;
  /** The engine's name for why, such as `MissingRoomKey`. */
  readonly code: string;
  readonly reason: string;
  /** The sender's code for withholding the key, such as `m.unverified`; `undefined` where none came. */
  readonly withheld: string | undefined;
  /** Whether it is held, and delivered when its key comes. */
  readonly held: boolean;
  readonly raw: RoomEvent;
}

/** An invitation. */
export interface InviteEvent {
  readonly roomId: string;
  /** Who invites; `undefined` where the homeserver does not say. */
  readonly inviter: string | undefined;
  /** What the homeserver tells of the room. */
  readonly state: readonly StrippedEvent[];
}

/** A knock of our own, by this or another client of the user, that waits for an answer: an invitation, or none. */
export interface KnockEvent {
  readonly roomId: string;
  /** What the homeserver tells of the room. */
  readonly state: readonly StrippedEvent[];
}

/** A message to this device that is not the engine's own business. */
export interface ToDeviceEvent {
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
  /** Whether it came encrypted: everything else may come from anybody. */
  readonly encrypted: boolean;
}

/** Something went wrong that no call of the program's waits for. */
export interface ErrorEvent {
  readonly error: unknown;
  /** What the client was doing, for people. */
  readonly doing: string;
  /** The event that was set aside because its handlers kept failing. */
  readonly event?: IncomingEvent | undefined;
}

/** What comes from the homeserver, by the name of the event: delivered at least once, and all but `undecryptable` again until its handlers succeed. */
export interface DeliveredEvents {
  /** An `m.room.message` of somebody else. */
  readonly message: IncomingEvent;
  /** Every event of a room's timeline, messages and state, our own too. */
  readonly event: IncomingEvent;
  /** Every event that was encrypted and could be decrypted. */
  readonly decrypted: IncomingEvent;
  /** An event that could not be decrypted: once when it came, and no more. */
  readonly undecryptable: UndecryptableEvent;
  readonly invite: InviteEvent;
  readonly knock: KnockEvent;
  readonly toDevice: ToDeviceEvent;
}

/** Every event of the client, by name. */
export interface MatrixClientEvents extends DeliveredEvents {
  /** What serves the keys has changed. */
  readonly mode: ModeEvent;
  /** Room keys go to a backup, or to another one than before, or to none any more. Told first when the device was opened. */
  readonly backup: BackupState;
  /** Something went wrong that no call waits for. */
  readonly error: ErrorEvent;
}
