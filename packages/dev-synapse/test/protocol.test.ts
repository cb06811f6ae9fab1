import { protocolSuite } from "@holdfast/dev-homeserver/protocol";
import { startSynapse } from "../src/index.ts";

protocolSuite("Synapse", () => startSynapse());
