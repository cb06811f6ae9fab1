import { type DevHomeserver, startDevHomeserver, type TestHomeserver, withFaults } from "../src/index.ts";
import { faultSuite, protocolSuite } from "./protocol/suite.ts";

/** What another homeserver would show of itself. */
function bare({ kind, baseUrl, registerUser, stop }: DevHomeserver): TestHomeserver {
  return { kind, baseUrl, registerUser, stop, [Symbol.asyncDispose]: stop };
}

const behindProxy = async () => withFaults(bare(await startDevHomeserver()));

protocolSuite("the development homeserver", () => startDevHomeserver());
protocolSuite("the development homeserver behind a proxy", behindProxy);
faultSuite("the development homeserver", () => startDevHomeserver());
faultSuite("the development homeserver behind a proxy", behindProxy);
