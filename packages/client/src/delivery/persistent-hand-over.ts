import { setTimeout as pause } from "node:timers/promises";
import { type Logger, messageOf } from "@holdfast/key-store-core";
import type { ErrorEvent } from "../events.ts";
import type { Delivery } from "./hand-over.ts";

/** How deliveries are tried again. */
export interface PersistenceParts {
  /** Calls the handlers; rejects where one of them fails. */
  readonly handOver: (delivery: Delivery) => Promise<void>;
  /** How often a delivery is tried before it is set aside. */
  readonly attempts: number;
  readonly logger: Logger;
  readonly onError: (error: ErrorEvent) => void;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Hands a delivery over, and again where its handlers fail, with growing
 * pauses. Resolves after the first attempt: what is tried again does not stand in
 * the way of what comes after it. `done` is called once, when the handlers have
 * succeeded or the delivery is set aside, and says which.
 */
export async function handOverPersistently(
  { handOver, attempts, logger, onError }: PersistenceParts,
  delivery: Delivery,
  done: (outcome: "done" | "set aside") => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let failure: unknown;
  const attempt = async (): Promise<boolean> => {
    try {
      await handOver(delivery);
      return true;
    } catch (error) {
      failure = error;
      return false;
    }
  };
  const again = async (): Promise<void> => {
    for (let made = 1; made < attempts; made += 1) {
      logger.warn(`A handler failed (attempt ${made} of ${attempts}) and is called again: ${messageOf(failure)}`);
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (made - 1)) * (0.75 + Math.random() / 2);
      // An abort leaves the delivery where it is: whoever starts next finds it there.
      const went = await pause(pauseMs, true, { signal, ref: false }).catch(() => false);
      if (!went) return;
      if (await attempt()) return done("done");
    }
    const event = delivery.kind === "event" ? delivery.event : undefined;
    onError({ error: failure, doing: `calling a handler, ${attempts} times: the event is set aside`, event });
    await done("set aside");
  };
  if (await attempt()) await done("done");
  else void again().catch((error) => onError({ error, doing: "setting an event aside" }));
}
