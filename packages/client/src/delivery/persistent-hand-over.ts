import { setTimeout as pause } from "node:timers/promises";
import { type Logger, messageOf } from "@holdfast/key-store-core";
import type { ErrorEvent } from "../events.ts";
import type { Delivery, HandOver } from "./hand-over.ts";
import { Postponed } from "./handlers.ts";

/** How deliveries are tried again. */
export interface PersistenceParts {
  /** Begins to hand over. */
  readonly handOver: (delivery: Delivery) => HandOver;
  /** Aborts when the client closes, before anything else ends: from then on nothing is handed over. */
  readonly stopping: AbortSignal;
  /** How often a delivery is tried before it is set aside. */
  readonly attempts: number;
  readonly logger: Logger;
  readonly onError: (error: ErrorEvent) => void;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Hands a delivery over, and again to those of its handlers that fail, with
 * growing pauses. Resolves after the first attempt: what is tried again does not
 * stand in the way of what comes after it. `done` is called once, when the
 * handlers have succeeded or the delivery is set aside, and says which; never
 * where the signal aborts first.
 */
export async function handOverPersistently(
  parts: PersistenceParts,
  delivery: Delivery,
  done: (outcome: "done" | "set aside") => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const handOver = parts.handOver(delivery);
  try {
    await handOver.attempt();
  } catch (failure) {
    void again(parts, delivery, handOver, failure, signal)
      .then((outcome) => outcome && done(outcome))
      .catch((error) => parts.onError({ error, doing: "taking an event out of the inbox" }))
      .finally(() => handOver.release());
    return;
  }
  await done("done").finally(() => handOver.release());
}

/** What came of it; `undefined` where the signal has aborted: whoever starts next finds the delivery where it is. */
async function again(
  { attempts, logger, onError }: PersistenceParts,
  delivery: Delivery,
  handOver: HandOver,
  firstFailure: unknown,
  signal: AbortSignal,
): Promise<"done" | "set aside" | undefined> {
  let failure = firstFailure;
  let made = 0;
  for (;;) {
    if (failure instanceof Postponed) await either(failure.until, signal);
    else {
      made += 1;
      if (made >= attempts) break;
      logger.warn(`A handler failed (attempt ${made} of ${attempts}) and is called again: ${messageOf(failure)}`);
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (made - 1)) * (0.75 + Math.random() / 2);
      await pause(pauseMs, undefined, { signal, ref: false }).catch(() => {});
    }
    if (signal.aborted) return undefined;
    try {
      await handOver.attempt();
      return "done";
    } catch (error) {
      failure = error;
    }
  }
  const event = delivery.kind === "event" ? delivery.event : undefined;
  onError({ error: failure, doing: `calling a handler, ${attempts} times: the event is set aside`, event });
  return "set aside";
}

/** Resolves when the promise has settled or the signal aborts. */
async function either(until: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  until.then(end, end);
  await promise;
  signal.removeEventListener("abort", end);
}
