import type { Logger } from "@holdfast/key-store-core";
import type { IncomingEvent, InviteEvent, MatrixClientEvents, ToDeviceEvent } from "../events.ts";
import { objectOf, textOf } from "../http/json.ts";
import type { StrippedUpdate } from "../sync/room-update.ts";
import type { Handlers } from "./handlers.ts";
import type { InboxEntry } from "./inbox.ts";

/** What can be handed to handlers. */
export type Delivery =
  | { readonly kind: "event"; readonly event: IncomingEvent }
  | { readonly kind: "invite"; readonly event: InviteEvent }
  | { readonly kind: "to-device"; readonly event: ToDeviceEvent };

/** What is handed over, and by whom it is read. */
export interface HandOverParts {
  readonly handlers: Handlers<MatrixClientEvents>;
  readonly userId: string;
  readonly logger: Logger;
  /** The client's own reader of room events, such as of verifications. A failure of it is logged and goes no further. */
  readonly onRoomEvent?: ((event: IncomingEvent) => Promise<void>) | undefined;
}

/**
 * Calls every handler that a delivery concerns.
 *
 * @throws the first failure of a handler, when all have ended
 */
export async function handOver(
  { handlers, userId, logger, onRoomEvent }: HandOverParts,
  delivery: Delivery,
): Promise<void> {
  switch (delivery.kind) {
    case "invite":
      return handlers.emit("invite", delivery.event);
    case "to-device":
      return handlers.emit("toDevice", delivery.event);
    case "event": {
      const { event } = delivery;
      await onRoomEvent?.(event).catch(() =>
        logger.warn(`Event ${event.eventId} could not be taken in by the client itself`),
      );
      const names: ("event" | "decrypted" | "message")[] = ["event"];
      if (event.encrypted) names.push("decrypted");
      if (event.type === "m.room.message" && event.stateKey === undefined && event.sender !== userId)
        names.push("message");
      const outcomes = await Promise.allSettled(names.map((name) => handlers.emit(name, event)));
      const failed = outcomes.find((outcome) => outcome.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
  }
}

/** An invitation, or a knock of ours, as its handlers see it. */
export function inviteOf({ roomId, membership, state }: StrippedUpdate, userId: string): InviteEvent {
  const own = state.find(({ type, state_key }) => type === "m.room.member" && state_key === userId);
  // A knock is our own doing: nobody has invited us.
  return { roomId, inviter: membership === "knock" ? undefined : own?.sender, state };
}

/** A message between devices as its handlers see it. */
export function toDeviceOf({ event }: InboxEntry): ToDeviceEvent {
  return {
    type: textOf(event.type) ?? "",
    sender: textOf(event.sender) ?? "",
    content: objectOf(event.content) ?? {},
    encrypted: event.encrypted === true,
  };
}
