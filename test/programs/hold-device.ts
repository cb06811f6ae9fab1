// Holds a device until it is told otherwise by lines of its input: `node … PLACE`; answers with lines of JSON.
import { createInterface } from "node:readline";
import { isKeyStoreError } from "../../packages/key-store-core/src/index.ts";
import { storeAt } from "../support/stores.ts";

const store = await storeAt(process.argv[2] ?? "", undefined, { label: "the old one" });
const device = await store.openDevice({ userId: "@bot:example.org", deviceId: "D" });
if (device === null) throw new Error("the store is not ready");

function say(message: unknown): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

say("open");
for await (const line of createInterface(process.stdin)) {
  if (line === "close") {
    await store.close();
    say("closed");
    break;
  }
  const put = { type: "put", collection: "c", key: Uint8Array.of(1), value: Uint8Array.of(1) } as const;
  const failure = await device.commit([put]).then(
    () => undefined,
    (error) => (isKeyStoreError(error) ? error : undefined),
  );
  say(failure && { code: failure.code, message: failure.message, holder: failure.holder });
}
process.stdin.destroy();
