import { memoryPlace } from "./cut/place.ts";
import { cutSuite } from "./cut/suite.ts";

cutSuite("memory", memoryPlace, { andBack: true });
