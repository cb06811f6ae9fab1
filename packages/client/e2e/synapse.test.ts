import { withFaults } from "@holdfast/dev-homeserver";
import { startSynapse } from "@holdfast/dev-synapse";
import { clientSuite } from "./suite/suite.ts";

clientSuite("Synapse", async () => withFaults(await startSynapse()));
