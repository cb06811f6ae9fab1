import { setTimeout as pause } from "node:timers/promises";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import { Backoff } from "../backoff.ts";
import type { Encryption } from "../crypto/encryption.ts";
import { MatrixClientError } from "../errors.ts";
import type { ErrorEvent } from "../events.ts";
import type { BackupState } from "./backup/key-backup.ts";
import { IdentityWatch } from "./cross-signing/identity-watch.ts";
import type { SetUpOptions } from "./set-up.ts";
import { Trust, type TrustParts } from "./trust.ts";

/** What the trust of devices is made of. */
export interface DeviceTrustParts extends Omit<TrustParts, "encryption" | "onBackupState"> {
  readonly logger: Logger;
  /** What is set up whenever a device is opened. Default: what was set up before is taken up again. */
  readonly setUpTrust: SetUpOptions | undefined;
  readonly onBackupState: (state: BackupState) => void;
  readonly onError: (event: ErrorEvent) => void;
}

/** A device that was opened. */
export interface OpenedDevice {
  readonly encryption: Encryption;
  /** Aborts when it is closed, or its store has failed. */
  readonly ended: AbortSignal;
}

/** How long the other sides of verifications are told that this device goes away, in milliseconds. */
const ENDS_WITHIN_MS = 2_000;
/** How often setting up is tried after another device changed what was set up: that device may be at it still. */
const ATTEMPTS = 8;
const REPLACED =
  "another device has replaced the account's cross-signing identity, and the new one does not sign this device: clients that leave unsigned devices out share no room keys with it";

/** Trust for whichever device runs: one of its own each time, which begins with it and ends with it. */
export class DeviceTrust {
  readonly #parts: DeviceTrustParts;
  #current: Trust | undefined;

  constructor(parts: DeviceTrustParts) {
    this.#parts = parts;
  }

  /** `undefined` while no device runs. */
  get current(): Trust | undefined {
    return this.#current;
  }

  /** Begins with a device that was opened, and ends when it does. */
  begin(device: OpenedDevice): void {
    const { encryption, ended } = device;
    const { logger } = this.#parts;
    let superseded = false;
    const onBackupState = (state: BackupState): void => {
      this.#parts.onBackupState(state);
      if (state.state === "off" && state.reason === "superseded") superseded = true;
      else if (superseded && (state.state === "on" || state.reason === "untrusted")) {
        superseded = false;
        // The key of what took its place is where the key of the one before was.
        this.#afterBackupReplaced(trust, device);
      }
    };
    const trust = new Trust({ ...this.#parts, encryption, onBackupState });
    const onReplaced = (): void => {
      logger.warn(`Cross-signing: ${REPLACED}`);
      this.#aside(device, "noticing a new cross-signing identity", () => this.#signAgain(trust, device));
    };
    const watch = new IdentityWatch({ encryption, crossSigning: trust.crossSigning, logger, onReplaced });
    this.#current = trust;
    const end = (): void => {
      if (this.#current === trust) this.#current = undefined;
      watch.close();
      trust.close().catch((error) => this.#parts.onError({ error, doing: "ending verifications" }));
    };
    if (ended.aborted) {
      end();
      return;
    }
    ended.addEventListener("abort", end, { once: true });
    this.#aside(device, "setting up cross-signing and the backup of room keys", () => this.#begin(trust, watch, ended));
  }

  /** Ends verifications and tells their other sides so; a homeserver that does not answer is not waited for. Idempotent. */
  async close(): Promise<void> {
    const ending = this.#current?.close().catch((error) => {
      this.#parts.logger.debug(`Verifications were not ended: ${messageOf(error)}`);
    });
    if (ending !== undefined) await Promise.race([ending, pause(ENDS_WITHIN_MS, undefined, { ref: false })]);
  }

  async #begin(trust: Trust, watch: IdentityWatch, signal: AbortSignal): Promise<void> {
    const { logger, setUpTrust } = this.#parts;
    await watch.begin();
    const resume = async (): Promise<void> => {
      await trust.resume(signal).catch((error) => {
        if (!signal.aborted) logger.info(`The backup of room keys could not be looked at: ${messageOf(error)}`);
      });
    };
    try {
      if (setUpTrust === undefined) await resume();
      else await trust.setUp({ ...setUpTrust, signal });
    } catch (error) {
      await resume();
      throw error;
    } finally {
      // What happened while nothing ran.
      watch.look();
    }
  }

  /** Nothing is replaced: where what was given for setting up does not open the new identity's keys, people decide. */
  async #signAgain(trust: Trust, { ended }: OpenedDevice): Promise<void> {
    const { logger, setUpTrust } = this.#parts;
    if (setUpTrust === undefined) {
      const remedy = "open secret storage and call trust.setUp, or verify this device by another one";
      throw new MatrixClientError("NOT_SET_UP", `${REPLACED}: ${remedy}`);
    }
    await this.#setUpAgain(trust, setUpTrust, ended);
    logger.info("This device is signed by the account's new cross-signing identity");
  }

  #afterBackupReplaced(trust: Trust, device: OpenedDevice): void {
    const { setUpTrust } = this.#parts;
    if (setUpTrust === undefined || !opensStorage(setUpTrust)) return;
    this.#aside(device, "opening the new backup of room keys", () => this.#setUpAgain(trust, setUpTrust, device.ended));
  }

  async #setUpAgain(trust: Trust, options: SetUpOptions, signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(1_000, 60_000);
    for (let left = opensStorage(options) ? ATTEMPTS : 1; ; left -= 1) {
      try {
        await trust.setUp({ ...options, signal });
        return;
      } catch (error) {
        if (signal.aborted || isKeyStoreError(error) || left <= 1) throw error;
        this.#parts.logger.info(`Trust is not set up again yet: ${messageOf(error)}`);
        await pause(backoff.next(), undefined, { signal, ref: false });
      }
    }
  }

  /** Beside everything else: a failure is told, unless the device is gone. */
  #aside({ ended, encryption }: OpenedDevice, doing: string, work: () => Promise<void>): void {
    work().catch((error) => {
      if (!ended.aborted && !encryption.deviceStore.failed.aborted) this.#parts.onError({ error, doing });
    });
  }
}

function opensStorage({ recoveryKey, passphrase }: SetUpOptions): boolean {
  return recoveryKey !== undefined || passphrase !== undefined;
}
