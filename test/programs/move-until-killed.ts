// Moves a device, and kills itself at the n-th call of a driver: `node … FROM TO DEVICE_ID N before|during`.
import { moveDevice } from "../../packages/key-store-move/src/index.ts";
import type { Watch } from "../support/mortal.ts";
import { storeAt } from "../support/stores.ts";

const [from = "", to = "", deviceId = "", at = "0", how = "before"] = process.argv.slice(2);
let calls = 0;

const watch: Watch = (attempt) => {
  calls += 1;
  if (calls !== Number(at)) return attempt();
  if (how === "before") process.kill(process.pid, "SIGKILL");
  const begun = attempt();
  // What was sent is on its way, and its answer is not.
  setImmediate(() => process.kill(process.pid, "SIGKILL"));
  return begun;
};

const [source, target] = [await storeAt(from, watch), await storeAt(to, watch)];
await moveDevice({ from: source, to: target, device: { userId: "@bot:example.org", deviceId }, lease: "take-over" });
await source.close();
await target.close();
