import { AsyncLocalStorage } from "node:async_hooks";
import { isKeyStoreError, type Logger, messageOf } from "@holdfast/key-store-core";
import type { UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Encryption } from "../../crypto/encryption.ts";
import { Rounds } from "../../crypto/rounds.ts";
import type { CrossSigning } from "./cross-signing.ts";

/** What is watched, and for whom. */
export interface IdentityWatchParts {
  readonly encryption: Encryption;
  readonly crossSigning: CrossSigning;
  readonly logger: Logger;
  /** Another device has replaced the account's identity, and this device is not signed by the new one: once for each. */
  readonly onReplaced: () => void;
}

/**
 * Notices that another device has made a new cross-signing identity of the
 * account, by what the engine learns of it. Lives as long as somebody holds it: the engine does not.
 */
export class IdentityWatch {
  readonly #parts: IdentityWatchParts;
  readonly #checks = new Rounds(() => this.#check());
  #told: string | undefined;
  #closed = false;

  constructor(parts: IdentityWatchParts) {
    this.#parts = parts;
  }

  /** Watches from now on. @throws what `Encryption.run` throws */
  async begin(): Promise<void> {
    const { encryption } = this.#parts;
    // The engine calls back from inside its calls, and keeps what it calls for ever.
    const outside = AsyncLocalStorage.snapshot() as (call: () => void) => void;
    const self = new WeakRef(this);
    const changed = async (userId: string): Promise<void> => {
      const watch = self.deref();
      if (watch !== undefined && userId === encryption.userId) outside(() => watch.look());
    };
    await encryption.run(async (machine) => {
      machine.registerUserIdentityUpdatedCallback((userId: UserId) => changed(userId.toString()));
      machine.registerDevicesUpdatedCallback(async (userIds) => {
        if (userIds.includes(encryption.userId)) await changed(encryption.userId);
      });
    });
  }

  /** Nothing is noticed any more. */
  close(): void {
    this.#closed = true;
  }

  /** Looks now, in the background. */
  look(): void {
    if (this.#closed) return;
    this.#checks.run().catch((error) => {
      if (this.#closed || isKeyStoreError(error)) return;
      this.#parts.logger.warn(`It is not known whether this device is still cross-signed: ${messageOf(error)}`);
    });
  }

  async #check(): Promise<void> {
    const replacement = await this.#parts.crossSigning.replacement();
    if (replacement === undefined || replacement === this.#told) return;
    this.#told = replacement;
    this.#parts.onReplaced();
  }
}
