import type { Logger } from "@holdfast/key-store-core";
import type { IncomingEvent, InviteEvent, KnockEvent, MatrixClientEvents, ToDeviceEvent } from "../events.ts";
import { objectOf, textOf } from "../http/json.ts";
import { ownMembership, type StrippedUpdate, strippedName } from "../sync/room-update.ts";
import { type Handlers, Postponed } from "./handlers.ts";
import type { InboxEntry } from "./inbox.ts";

/** What can be handed to handlers. */
export type Delivery =
  | { readonly kind: "event"; readonly event: IncomingEvent }
  | { readonly kind: "invite"; readonly event: InviteEvent }
  | { readonly kind: "knock"; readonly event: KnockEvent }
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
 * What is being handed over. An event that comes again meanwhile, such as when
 * the store is back, is the same hand-over: its handlers do not run twice at once.
 */
export class HandOvers {
  readonly #parts: HandOverParts;
  readonly #underWay = new Map<string, HandOver>();

  constructor(parts: HandOverParts) {
    this.#parts = parts;
  }

  /** Calls nothing yet. To be released by whoever has begun it. */
  begin(delivery: Delivery): HandOver {
    const id = this.#idOf(delivery);
    const begun = id === undefined ? undefined : this.#underWay.get(id);
    const handOver = begun ?? new HandOver(this.#calls(delivery), () => id !== undefined && this.#underWay.delete(id));
    if (id !== undefined) this.#underWay.set(id, handOver);
    handOver.hold();
    return handOver;
  }

  /** What it is told by when it comes again; `undefined` for a message between devices, which does not. */
  #idOf(delivery: Delivery): string | undefined {
    if (delivery.kind === "to-device") return undefined;
    if (delivery.kind === "event") return delivery.event.eventId;
    return strippedName({ ...delivery.event, membership: delivery.kind }, this.#parts.userId);
  }

  #calls(delivery: Delivery): (() => Promise<unknown>)[] {
    const { handlers, userId } = this.#parts;
    if (delivery.kind === "invite") return handlers.calls("invite", delivery.event);
    if (delivery.kind === "knock") return handlers.calls("knock", delivery.event);
    if (delivery.kind === "to-device") return handlers.calls("toDevice", delivery.event);
    const { event } = delivery;
    const names: ("event" | "decrypted" | "message")[] = ["event"];
    if (event.encrypted) names.push("decrypted");
    if (event.type === "m.room.message" && event.stateKey === undefined && event.sender !== userId)
      names.push("message");
    let takenIn: Promise<void> | undefined;
    return [() => Promise.resolve(), ...names.flatMap((name) => handlers.calls(name, event))].map(
      (call) => async () => {
        // Before the handlers, and once.
        takenIn ??= this.#takeIn(event);
        await takenIn;
        await call();
      },
    );
  }

  async #takeIn(event: IncomingEvent): Promise<void> {
    await this.#parts
      .onRoomEvent?.(event)
      .catch(() => this.#parts.logger.warn(`Event ${event.eventId} could not be taken in by the client itself`));
  }
}

/** A delivery, and which of the handlers that there were when it was begun are not done with it. */
export class HandOver {
  readonly #onReleased: () => void;
  #undone: readonly (() => Promise<unknown>)[];
  #attempt: Promise<void> | undefined;
  #holders = 0;

  constructor(calls: readonly (() => Promise<unknown>)[], onReleased: () => void) {
    this.#undone = calls;
    this.#onReleased = onReleased;
  }

  /**
   * Calls the handlers that are not done. Who asks while they run waits for the same.
   *
   * @throws the first failure of a handler, when all have ended; `Postponed` only where nothing else has failed
   */
  attempt(): Promise<void> {
    this.#attempt ??= this.#call().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  hold(): void {
    this.#holders += 1;
  }

  /** Whoever had it does not ask any more. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.#onReleased();
  }

  async #call(): Promise<void> {
    const calls = this.#undone;
    const outcomes = await Promise.allSettled(calls.map((call) => call()));
    this.#undone = calls.filter((_, n) => outcomes[n]?.status === "rejected");
    const failures: unknown[] = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    if (failures.length > 0) throw failures.find((failure) => !(failure instanceof Postponed)) ?? failures[0];
  }
}

/** An invitation, or a knock of our own, as its handlers see it. */
export function strippedDelivery({ roomId, membership, state }: StrippedUpdate, userId: string): Delivery {
  if (membership === "knock") return { kind: "knock", event: { roomId, state } };
  return { kind: "invite", event: { roomId, inviter: ownMembership(state, userId)?.sender, state } };
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
