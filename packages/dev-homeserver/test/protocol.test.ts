import { startDevHomeserver } from "../src/index.ts";
import { protocolSuite } from "./protocol/suite.ts";

protocolSuite("the development homeserver", () => startDevHomeserver());
