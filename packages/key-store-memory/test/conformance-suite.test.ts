import { keyStoreConformance } from "@holdfast/key-store-core/conformance";
import { describe, it } from "vitest";
import { memorySubject } from "./support/subject.ts";

describe("the memory store conforms", () => {
  for (const test of keyStoreConformance(memorySubject)) it(test.name, test.run, test.timeoutMs);
});
