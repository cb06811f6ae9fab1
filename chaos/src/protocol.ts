import type { ClientMode } from "@holdfast/client";

/** Where a device's keys are. */
export type Storage =
  | { readonly kind: "sqlite"; readonly path: string }
  | { readonly kind: "postgres"; readonly url: string };

/** Who a process is to be. */
export interface Life {
  readonly homeserver: string;
  readonly accessToken: string;
  readonly storage: Storage;
  /** `"take-over"` where whoever starts it knows that the process before is dead, or wants it fenced. */
  readonly lease: "wait" | "take-over";
  /** Begins the texts of this life's messages, which no other life's do. */
  readonly signature: string;
  /** The rooms that it talks in from the moment it is connected; none: it is silent. */
  readonly rooms: readonly string[];
  /** The longest pause between two messages to one room, in milliseconds. */
  readonly pauseMs: number;
  /** Where it dies, from its start on. */
  readonly death?: Death | undefined;
}

/** A named point in the work of a process. */
export type PointName =
  /** A commit is asked for; nothing of it has reached the database. */
  | "before commit"
  /** The commit is on its way to the database. */
  | "inside commit"
  /** The commit is durable; nobody but the driver knows. */
  | "after commit"
  /** As `"after commit"`, of a commit that holds a sync token. */
  | "after token"
  /** As `"after commit"`, of a commit in which an Olm session has moved on. */
  | "after Olm session"
  /** A handler was called. */
  | "handler begins"
  /** A handler has done its work and not returned. */
  | "handler ends";

/** The n-th time from now, from 1, that a process comes to a point. */
export interface Death {
  readonly point: PointName;
  readonly nth: number;
}

/** What a process is told. */
export type Order =
  | { readonly order: "live"; readonly life: Life }
  | { readonly order: "die at"; readonly death: Death }
  /** The next commit reaches the database only when the process has looked what came of it. */
  | { readonly order: "delay commit" }
  /**
   * The next commit of a sync in which something was encrypted under Olm, so that sessions have moved on, fails
   * without having been made, however often it is tried. Commits after it are made.
   */
  | { readonly order: "refuse commit" }
  | { readonly order: "hush" }
  | { readonly order: "talk" }
  | { readonly order: "close" };

/** What a process tells. */
export type Told =
  | { readonly told: "loaded" }
  | { readonly told: "connected" }
  | { readonly told: "mode"; readonly mode: ClientMode; readonly reason: string; readonly code: string }
  | { readonly told: "identity"; readonly ed25519: string }
  /** The device was opened, by this holder, and was so then. */
  | { readonly told: "opened"; readonly holder: string; readonly epoch: string; readonly revision: string }
  /** A commit was made under this guard, and answered. */
  | { readonly told: "committed"; readonly holder: string; readonly epoch: string; readonly revision: string }
  /** A commit reached the database late; `applied` is what it said. */
  | { readonly told: "late commit"; readonly applied: boolean }
  /** A commit is refused, as it was told to. */
  | { readonly told: "refused commit" }
  | { readonly told: "sent"; readonly roomId: string; readonly eventId: string; readonly text: string }
  | { readonly told: "not sent"; readonly code: string }
  | { readonly told: "handled"; readonly eventId: string; readonly text: string }
  | { readonly told: "handled to-device"; readonly id: string }
  | { readonly told: "undecryptable"; readonly eventId: string; readonly code: string }
  | { readonly told: "error"; readonly doing: string; readonly message: string }
  | { readonly told: "hushed" };

/** The type of the messages between devices that use a one-time key up. */
export const POKE = "org.holdfast.chaos.poke";
