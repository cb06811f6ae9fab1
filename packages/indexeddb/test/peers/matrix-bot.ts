import type { Storage } from "../durability/storage.ts";

/** What a life of the bot begins with. */
export interface BotLife {
  readonly name: string;
  readonly storage: Storage;
  readonly homeserver: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly accessToken: string;
  /** 32 bytes in base64. */
  readonly storageKey: string;
}

/** What the bot says. */
export type BotSaid =
  | { readonly told: "identity"; readonly ed25519: string | undefined; readonly curve25519: string | undefined }
  | { readonly told: "joined" }
  /** Of an event that was encrypted: its text, or why it stayed as it was. */
  | { readonly told: "read"; readonly body: unknown; readonly failure: string | null };
