/** One process of the device: opens it, reads what it has to have, works until it is killed. */
import { once } from "node:events";
import { promisify } from "node:util";
import { encryptText, receiveSync, textsOf } from "../cut/events.ts";
import { identityOf, openEngine } from "../cut/scenario.ts";
import type { Life, Told } from "./life.ts";
import { openStorage } from "./storage.ts";

const send = promisify((message: Told, sent: (error: Error | null) => void) => {
  if (process.send === undefined) throw new Error("this process was started without a channel to its parent");
  process.send(message, undefined, undefined, sent);
});

const [life] = (await once(process, "message")) as [Life];
const { room, rounds } = life;
const keyStore = await openStorage(life.storage);
const engine = await openEngine(keyStore, life);
const { machine } = engine;
await send({ told: "opened", identity: identityOf(engine), texts: await textsOf(machine, life.readable) });

for (const { received, imported, sent } of rounds) {
  await receiveSync(machine, { to_device: { events: [received.toDevice] } });
  await send({ told: "received" });
  await machine.importExportedRoomKeys(imported.keys, () => {});
  await send({ told: "imported" });
  const content = await encryptText(machine, room, sent);
  await send({ told: "sent", content });
}

// No other message comes.
if (life.toBeKilled) await once(process, "message");
await engine.close();
await keyStore.close();
await send({ told: "done" });
process.disconnect();
