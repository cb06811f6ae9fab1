import { setTimeout as pause } from "node:timers/promises";
import { holdResponse } from "@holdfast/dev-homeserver/faults";
import type { Member } from "../member.ts";
import type { Death, PointName } from "../protocol.ts";
import type { Random } from "../random.ts";
import type { World } from "../world.ts";

/** How a member's process is ended, or loses its device. */
export type KillName = "any moment" | "while it starts" | "named point" | "upload" | "claim" | "send" | "take over";

export const KILLS: Readonly<Record<KillName, number>> = {
  "any moment": 30,
  "while it starts": 15,
  "named point": 35,
  upload: 8,
  claim: 3,
  send: 4,
  "take over": 5,
};

const POINTS: Readonly<Record<PointName, number>> = {
  "before commit": 15,
  "inside commit": 20,
  "after commit": 35,
  "after token": 10,
  // One in many of the commits that "after commit" is about.
  "after Olm session": 0,
  "handler begins": 10,
  "handler ends": 10,
};

/** How long a process may take to come to where it is to die, in milliseconds; it dies then all the same. */
const PATIENCE_MS = 2_500;

/** Kills a member's process in one way, and starts another. Answers with the number of processes that were killed. */
export async function killOnce(world: World, member: Member, kind: KillName, random: Random): Promise<void> {
  const { process: child } = member;
  switch (kind) {
    case "any moment":
      await child.until("connected", PATIENCE_MS);
      await pause(random.next() * 250);
      await child.kill();
      break;
    case "while it starts":
      await child.kill();
      await (await member.start({ lease: leaseOf(random) })).until("opened", PATIENCE_MS);
      await pause(random.next() * 120);
      await member.process.kill();
      break;
    case "named point": {
      const death: Death = { point: random.weighted(POINTS), nth: random.whole(1, 12) };
      if (random.next() < 0.3) {
        // Armed from the start: what is left of the life before is where it dies.
        await child.kill();
        await member.start({ lease: leaseOf(random), death });
      } else {
        await child.until("connected", PATIENCE_MS);
        child.send({ order: "die at", death });
      }
      await dead(member);
      break;
    }
    case "upload":
      await atRequest(world, member, "/keys/upload", () => world.witness.poke(member, random.whole(1, 3)), random);
      break;
    case "claim":
      await atRequest(world, member, "/sendToDevice/{eventType}/{txnId}", async () => {}, random);
      break;
    case "send":
      await atRequest(world, member, "/send/{eventType}/{txnId}", async () => {}, random);
      break;
    case "take over":
      return takeOver(world, member, random);
  }
  await member.start({ lease: leaseOf(random) });
}

/** Whoever starts a process need not know that the one before is dead. */
function leaseOf(random: Random): "wait" | "take-over" {
  return random.next() < 0.25 ? "wait" : "take-over";
}

/** It dies by itself, if it comes to where it is to. */
async function dead({ process: child }: Member): Promise<void> {
  child.condemned = true;
  await Promise.race([child.ended, pause(PATIENCE_MS)]);
  await child.kill();
}

/** A request was done by the homeserver, and its answer is not there yet: the process dies. */
async function atRequest(
  { homeserver }: World,
  { userId, process: child }: Member,
  path: string,
  provoke: () => Promise<void>,
  random: Random,
): Promise<void> {
  await child.until("connected", PATIENCE_MS);
  const held = homeserver.faults.next({ path, userId }, holdResponse(), random.whole(1, 3) === 3 ? 2 : 1);
  await provoke();
  await Promise.race([held.fired(), pause(PATIENCE_MS / 2)]);
  await child.kill();
  held.remove();
}

/** A process stands still, another takes its device, and the first goes on as if nothing had happened. */
async function takeOver({ database }: World, member: Member, random: Random): Promise<void> {
  const { process: stale } = member;
  await stale.until("connected", PATIENCE_MS);
  stale.replaced = true;
  const standsStill = random.next() < 0.7;
  if (standsStill) stale.signal("SIGSTOP");
  const next = await member.start({ lease: "take-over" });
  // Where there are outages the first may have lost the store too, and takes the device back when that has come again:
  // it was told to take it as well. Which of the two is the writer is then anybody's guess; that only one is, is not.
  next.replaced = database !== undefined;
  // One that stands still in a transaction of SQLite lets nobody write.
  if (!(await next.until("opened", PATIENCE_MS / 4))) stale.signal("SIGCONT");
  await pause(random.next() * 100);
  stale.signal("SIGCONT");
  const off = await stale.next("mode", PATIENCE_MS / 2, ({ mode }) => mode === "off");
  if (off === undefined) await pause(random.next() * 100);
  await stale.kill();
  if (!(await next.until("opened", PATIENCE_MS))) await next.until("connected", PATIENCE_MS);
  if (!next.replaced) return;
  await next.kill();
  await member.start();
}
