import type { AcquireOutcome, AcquireRequest, KeyStoreDriver } from "./driver.ts";
import { KeyStoreError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import { holderName, leaseHeld, movedAway, nameOf, rolledBack } from "./refusal.ts";
import { Backoff, Deadline } from "./timing.ts";

type Acquired = Extract<AcquireOutcome, { outcome: "acquired" }>;

/** What taking a lease needs of its key store. */
export interface LeaseContext {
  readonly driver: KeyStoreDriver;
  readonly logger: Logger;
  /** Makes one call of the driver that may be made again, within the time limit of an operation. */
  readonly call: <T>(what: string, hook: () => Promise<T>) => Promise<T>;
  /** Throws once the key store is closed. */
  readonly throwIfClosed: () => void;
}

/** The longest pause between two looks at a lease that somebody has, in milliseconds. */
const LEASE_POLL_MS = 250;

/** Takes a device's lease, waiting `waitMs` for whoever has it. */
export async function takeLease(
  context: LeaseContext,
  request: AcquireRequest,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<Acquired> {
  const { device } = request;
  const patience = new Deadline(waitMs);
  const backoff = new Backoff(LEASE_POLL_MS);
  for (let waited = false; ; waited = true) {
    const result = await askOnce(context, { ...request, acceptRollback: false });
    if (result.outcome === "acquired") return result;
    if (result.outcome === "rolled-back") return takeRolledBack(context, request, result);
    if (result.outcome === "moving") throw movedAway(device, result.move);
    if (result.outcome === "absent") {
      const message = `the key store has no ${nameOf(device)}, and it was not to be made`;
      throw new KeyStoreError("ERR_KEY_STORE_DEVICE_NOT_FOUND", message);
    }
    if (patience.isOver) throw leaseHeld(device, result.holder, waited ? `and kept it for ${waitMs} ms` : "");
    if (!waited) context.logger.info(`Waiting for ${nameOf(device)}: ${holderName(result.holder)} has it open`);
    await backoff.pause(patience.remainingMs, signal);
    context.throwIfClosed();
  }
}

/** A device that went back, or may have: refused, or taken because the program says so. */
async function takeRolledBack(
  context: LeaseContext,
  request: AcquireRequest,
  { found, reason }: Extract<AcquireOutcome, { outcome: "rolled-back" }>,
): Promise<Acquired> {
  const { device, known, acceptRollback } = request;
  const refusal = rolledBack(device, found, known, reason);
  if (acceptRollback !== true) throw refusal;
  const result = await askOnce(context, request);
  if (result.outcome !== "acquired") throw refusal;
  context.logger.warn(`Opened ${nameOf(device)} all the same, as acceptRollback says: ${refusal.message}`);
  return result;
}

/** What an attempt still brings after all of them were given up goes back. */
async function askOnce({ driver, call }: LeaseContext, request: AcquireRequest): Promise<AcquireOutcome> {
  let givenUp = false;
  const attempt = async () => {
    const outcome = await driver.acquire(request);
    if (givenUp && outcome.outcome === "acquired") await outcome.device.release(request.holder.id);
    return outcome;
  };
  try {
    return await call("opening a device", attempt);
  } catch (error) {
    givenUp = true;
    throw error;
  }
}
