/**
 * Why there is no Synapse:
 *
 * - `"misconfigured"`: `SYNAPSE_URL` is set, and does not suffice.
 * - `"unsupported"`: this machine has no container engine, and is none on which a chroot can be made.
 * - `"build"`: the chroot could not be built.
 * - `"start"`: the server was there, and did not begin to answer.
 */
export type SynapseUnavailableReason = "misconfigured" | "unsupported" | "build" | "start";

/** There is no Synapse to be had; the message says what to do about it. */
export class SynapseUnavailable extends Error {
  override readonly name = "SynapseUnavailable";
  readonly reason: SynapseUnavailableReason;

  constructor(reason: SynapseUnavailableReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
