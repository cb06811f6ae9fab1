import type { EncryptedEvent } from "../cut/events.ts";

/** What a device does again and again, until it is killed. */
export interface Round {
  /** A room key from a peer, as the to-device event of a sync, and a message encrypted by it. */
  readonly received: { readonly toDevice: unknown; readonly event: EncryptedEvent; readonly text: string };
  /** A room key from a file, and a message encrypted by it. */
  readonly imported: { readonly keys: string; readonly event: EncryptedEvent; readonly text: string };
  /** What the device is to send. */
  readonly sent: string;
}

/** Where the device is kept. */
export type Storage =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres"; readonly url: string };

/** What a process is told when it starts. */
export interface Life {
  readonly storage: Storage;
  readonly userId: string;
  readonly deviceId: string;
  /** The room that the device sends to: its peer has the key. */
  readonly room: string;
  /** What must be readable before anything else is done. */
  readonly readable: readonly EncryptedEvent[];
  /** What to do then, over and over. */
  readonly rounds: readonly Round[];
  /** Whether it is to be killed: where it has done everything before, it waits for that. */
  readonly toBeKilled: boolean;
}

/** What a process tells. Everything it tells of a call, it tells after the call has resolved and before the next. */
export type Told =
  | { readonly told: "opened"; readonly identity: string; readonly texts: readonly string[] }
  | { readonly told: "received" | "imported" }
  | { readonly told: "sent"; readonly content: string }
  | { readonly told: "done" };
