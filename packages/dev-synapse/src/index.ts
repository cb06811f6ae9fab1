export { startSynapse } from "./synapse.ts";
export { SynapseUnavailable, type SynapseUnavailableReason } from "./unavailable.ts";
