import { startDevHomeserver } from "@holdfast/dev-homeserver";
import { clientSuite } from "./suite/suite.ts";

clientSuite("the development homeserver", () => startDevHomeserver());
