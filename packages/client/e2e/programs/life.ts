/** One life of our client on a device, which its parent ends. */
export interface Life {
  readonly homeserver: string;
  readonly accessToken: string;
  /** The SQLite file of its keys. */
  readonly path: string;
  /** What it does with a message: answers it, or never ends. */
  readonly onMessage: "answer" | "hang";
}

/** What a life tells its parent. */
export type Told =
  | { readonly told: "connected"; readonly ed25519: string | undefined }
  | { readonly told: "reading"; readonly body: string; readonly eventId: string }
  | { readonly told: "answered" }
  | { readonly told: "sent"; readonly eventId: string };

/** What a parent asks for, once the life is connected. */
export interface Ask {
  readonly roomId: string;
  readonly body: string;
  readonly transactionId: string;
}
