import type { Credentials, Identity, Received } from "@holdfast/dev-homeserver/party";
import type { KeyStoreMode, KeyStoreStats } from "@holdfast/key-store-core";

/** What the main process asks of the sender. */
export interface SenderCommands {
  start(credentials: Credentials): Promise<Identity>;
  /** Makes an encrypted room whose key changes after so many messages; answers with its id. */
  createRoom(invite: readonly string[], messagesPerKey: number): Promise<string>;
  /** Answers with the ids of the events, in order. */
  send(roomId: string, bodies: readonly string[]): Promise<string[]>;
  read(): Promise<readonly Received[]>;
  close(): Promise<void>;
}

/** What a receiver says when it has started. */
interface ReceiverStart {
  readonly identity: Identity;
  /** As the homeserver shows it to others. */
  readonly published: Identity | undefined;
  readonly store: string;
  readonly mode: KeyStoreMode | "waiting";
  readonly keyStoreAvailable: boolean;
  readonly degraded: boolean;
}

/** What the main process asks of a receiver. */
export interface ReceiverCommands {
  /** Opens the engine on the key store that the environment names, and publishes its keys. */
  start(credentials: Credentials): Promise<ReceiverStart>;
  join(roomId: string): Promise<void>;
  /** Syncs until so many messages have been decrypted, or nothing more comes. */
  read(messages: number): Promise<readonly Received[]>;
  /** Syncs, and stands still before the sync's commit: an event says so, and the answer never comes. */
  syncAndStandStill(): Promise<never>;
  /** The room's whole history, decrypted again. */
  history(roomId: string): Promise<readonly Received[]>;
  send(roomId: string, body: string): Promise<string>;
  stats(): Promise<KeyStoreStats>;
  close(): Promise<void>;
}

/** What a child says without being asked. */
export type ChildEvent =
  | { readonly event: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly message: string }
  | { readonly event: "progress"; readonly done: number }
  | { readonly event: "inside sync"; readonly toDevice: number };

/** A call to a child. */
export interface Request {
  readonly id: number;
  readonly command: string;
  readonly parameters: readonly unknown[];
}

/** What comes from a child. */
export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: string }
  | ChildEvent;
