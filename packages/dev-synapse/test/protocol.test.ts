import { withFaults } from "@holdfast/dev-homeserver";
import { faultSuite, protocolSuite } from "@holdfast/dev-homeserver/protocol";
import { startSynapse } from "../src/index.ts";

protocolSuite("Synapse", () => startSynapse());
faultSuite("Synapse", async () => withFaults(await startSynapse()));
