import { setTimeout as pause } from "node:timers/promises";
import { holdResponse } from "@holdfast/dev-homeserver/faults";
import { checkpoint, healthy, lastCheck, resume } from "../checkpoint.ts";
import type { Member } from "../member.ts";
import type { Process } from "../processes.ts";
import type { Death } from "../protocol.ts";
import type { Claimed } from "../witness.ts";
import type { World } from "../world.ts";
import { changeRow } from "./rows.ts";

/** How long something may take that is sure to come, in milliseconds. */
const LIMIT_MS = 20_000;

/** Damage of one kind, aimed at one safeguard. What is violated is in the world's ledger. */
type Scenario = (world: World) => Promise<void>;

/** In an order in which one world can stand them all: the last three end a member each. */
export const SCENARIOS = {
  /** A commit reaches the database when its process has already looked what came of it. */
  async "late commits"(world) {
    const [member] = members(world);
    for (let time = 0; time < 4; time += 1) {
      const late = member.process.next("late commit", LIMIT_MS);
      member.process.send({ order: "delay commit" });
      if ((await late) === undefined) mustBePlayed(world, "no commit was late");
      if (world.ledger.violations.length > 0) return;
    }
    await settled(world);
  },

  /**
   * A process that finds new room keys, and messages that use one-time keys, dies after the commit that acknowledges
   * them; one that finds nothing but such messages, after the first commit in which an Olm session has moved on; and
   * then one after its first commit, one after the second, and so on.
   */
  async "killed at each commit"(world) {
    const [member] = members(world);
    await dies(world, await reborn(world, member, { point: "after token", nth: 1 }, 6));
    // Room keys would come before: the engine's own commit of one has all of it.
    await (await member.start()).until("connected", LIMIT_MS);
    await silent(world, member);
    await dies(world, await reborn(world, member, { point: "after Olm session", nth: 1 }, 0));
    resume(world);
    for (let nth = 1; nth <= 10; nth += 1) {
      const dying = await reborn(world, member, { point: "after commit", nth }, 6);
      await Promise.race([dying.ended, pause(3_000)]);
    }
    await member.process.kill();
    await member.start();
    await settled(world);
  },

  /**
   * The commit of a sync that brings room keys or uses a one-time key is refused for longer than it is tried, and the
   * store takes the next ones: an engine that went on would have used up what the homeserver sends again.
   */
  async "a commit that brings keys is refused"(world) {
    const [member] = members(world);
    const refused = member.process.next("refused commit", LIMIT_MS);
    member.process.send({ order: "refuse commit" });
    await world.witness.poke(member, 2);
    if ((await refused) === undefined) mustBePlayed(world, "no commit was refused");
    await settled(world);
  },

  /** Keys were uploaded, and claimed by others, and the process dies before it knows. */
  async "keys uploaded and claimed, and no answer"(world) {
    const { homeserver, witness, wire } = world;
    const [member] = members(world);
    const { userId } = member;
    const held = homeserver.faults.next({ path: "/keys/upload", userId }, holdResponse());
    // Processes that died while they uploaded have left more keys than a device offers by itself: first these go.
    for (const began = performance.now(); held.count === 0 && performance.now() - began < LIMIT_MS; ) {
      await witness.poke(member, 3);
      await Promise.race([held.fired(), pause(200)]);
    }
    if (held.count === 0) mustBePlayed(world, "no keys were uploaded");
    member.process.signal("SIGSTOP");
    const claimed: Claimed[] = [];
    for (let key = await witness.claim(member); key !== undefined; key = await witness.claim(member)) {
      if (wire.isFallback(key.publicKey)) break;
      claimed.push(key);
    }
    await member.process.kill();
    held.remove();
    await member.start();
    for (const key of claimed) await witness.use(key, member);
    await settled(world);
    await lastCheck(world);
  },

  /** A replica has missed an opening of the device: the next one gets the same epoch again. */
  async "another holder in the same epoch"(world) {
    const [, , member] = members(world);
    const first = await silent(world, member);
    first.signal("SIGSTOP");
    first.replaced = true;
    await changeRow(member, "epoch = epoch - 1, holder = null, process = null");
    world.ledger.newStore(member.userId);
    const second = await member.start({ death: { point: "before commit", nth: 1 } });
    second.condemned = true;
    await Promise.race([second.ended, limit()]);
    await second.kill();
    await mustEnd(world, member, first);
  },

  /** A replica has missed the last commits of a writer that goes on on it. */
  async "rolled back under a writer"(world) {
    const [, member] = members(world);
    const child = await silent(world, member);
    child.replaced = true;
    await changeRow(member, "revision = revision - 3");
    await mustEnd(world, member, child);
  },

  /** Somebody starts a device anew on an empty store. */
  async "the store is lost"(world) {
    const [member] = members(world);
    await member.process.kill();
    await world.loseStore(member);
    world.ledger.newStore(member.userId);
    const child = await member.start();
    child.replaced = true;
    const off = await child.next("mode", LIMIT_MS, ({ mode }) => mode === "off");
    if (off?.code !== "IDENTITY_CONFLICT") {
      world.ledger.violation("a second identity was not refused", member.userId, off?.code ?? "encryption went on");
    }
    await child.kill();
  },
} satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof SCENARIOS;

function members({ members: [first, second, third] }: World): readonly [Member, Member, Member] {
  if (first === undefined || second === undefined || third === undefined) throw new Error("there are three members");
  return [first, second, third];
}

/** The end of patience, which keeps no process from ending. */
function limit(): Promise<void> {
  return pause(LIMIT_MS, undefined, { ref: false });
}

/** What a scenario is about has not come about. That finds no mutant out; only where one was found out before it may be. */
function mustBePlayed({ ledger }: World, what: string): void {
  if (ledger.violations.length === 0) throw new Error(`the scenario was not played: ${what}`);
}

/** Kills a member's process, lets so many messages and what uses one-time keys come for it, and starts another, which is to die where it deals with them. */
async function reborn(world: World, member: Member, death: Death, messages: number): Promise<Process> {
  await member.process.kill();
  await world.witness.poke(member, 2);
  await heardOf(world, member, messages);
  const dying = await member.start({ death });
  dying.condemned = true;
  return dying;
}

/** Waits until a process is where it is to die. */
async function dies(world: World, dying: Process): Promise<void> {
  await Promise.race([dying.ended, limit()]);
  if (!dying.isOver) mustBePlayed(world, "a process did not die where it was to");
}

/** Everybody comes to rest, is looked at, and goes on. */
async function settled(world: World): Promise<void> {
  await healthy(world);
  await checkpoint(world);
  resume(world);
}

/** Waits until the others have said so much more. */
async function heardOf({ ledger }: World, { userId }: Member, messages: number): Promise<void> {
  const said = (): number => [...ledger.acknowledged.values()].filter(({ sender }) => sender !== userId).length;
  const before = said();
  await ledger.until(() => said() >= before + messages, LIMIT_MS);
}

/** A member's process, which has nothing to commit for the moment: nobody says anything. */
async function silent(world: World, member: Member): Promise<Process> {
  for (const { process: child } of world.members) {
    if (child.isOver) continue;
    const hushed = child.next("hushed", LIMIT_MS);
    child.send({ order: "hush" });
    await hushed;
  }
  const { process: child } = member;
  for (let look = 0; look < 20 && (await child.next("committed", 700)) !== undefined; look += 1);
  return child;
}

/** A process whose device is not its own any more goes on: its first commit must be refused, and it must say so. */
async function mustEnd({ ledger }: World, { userId }: Member, child: Process): Promise<void> {
  let commits = 0;
  child.on("told", ({ told }) => {
    if (told === "committed") commits += 1;
  });
  const off = child.next("mode", LIMIT_MS, ({ mode }) => mode === "off");
  child.signal("SIGCONT");
  child.send({ order: "talk" });
  const refusal = await off;
  if (commits > 0)
    ledger.violation("a writer went on with a device that was not its own", userId, `${commits} commits`);
  if (refusal === undefined) ledger.violation("a writer was not told that its device is not its own", userId, "");
  await child.kill();
}
