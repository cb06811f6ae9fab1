import { setTimeout as pause } from "node:timers/promises";
import type { Member } from "./member.ts";
import type { Claimed } from "./witness.ts";
import type { World } from "./world.ts";

/**
 * Lets everybody fall silent, and holds what arrived against what was
 * acknowledged. Everything must be healed before. What does not come to rest
 * is a violation too.
 */
export async function checkpoint(world: World): Promise<void> {
  const { ledger, members, wire, restMs } = world;
  await Promise.all(members.map((member) => hush(world, member)));
  const missing = (): string[] => unread(world);
  await ledger.until(() => missing().length === 0, restMs);
  for (const detail of missing()) ledger.violation("a message was not read", detail.split(" ", 1)[0] ?? "", detail);
  if (ledger.violations.length > 0) await world.keepTranscript();
  wire.drain();
  for (const member of members) await checkRow(world, member);
  forget(world);
}

/** Lets everybody talk again. */
export function resume({ members }: World): void {
  for (const { process } of members) process.send({ order: "talk" });
}

/** Claims every one-time key that is left, and uses it; asks for the identities a last time. */
export async function lastCheck(world: World): Promise<void> {
  const { ledger, members, wire, witness } = world;
  for (const member of members) {
    const claimed: Claimed[] = [];
    // It stands still meanwhile: it would make new keys in the place of those that are gone.
    member.process.signal("SIGSTOP");
    for (;;) {
      const key = await witness.claim(member);
      if (key === undefined || wire.isFallback(key.publicKey)) break;
      claimed.push(key);
    }
    member.process.signal("SIGCONT");
    for (const key of claimed) await witness.use(key, member);
  }
  await checkpoint(world);
  for (const { userId, deviceId, client } of members) {
    const answer = await client.call("POST", "/keys/query", { device_keys: { [userId]: [deviceId] } });
    const users = answer.device_keys as Record<string, Record<string, { keys: Record<string, string> }>>;
    const shown = users[userId]?.[deviceId]?.keys[`ed25519:${deviceId}`];
    const [identity] = ledger.of(userId).identities;
    if (shown !== identity) {
      ledger.violation("the homeserver shows another identity", userId, `${shown}, and the device has ${identity}`);
    }
  }
}

async function hush(world: World, member: Member): Promise<void> {
  const { process } = member;
  const { restMs } = world;
  if (!(await process.until("connected", restMs))) {
    return world.ledger.violation("a member did not come back", member.userId, `not connected after ${restMs} ms`);
  }
  const hushed = process.next("hushed", restMs);
  process.send({ order: "hush" });
  if ((await hushed) === undefined) {
    world.ledger.violation("a member did not fall silent", member.userId, `a send has no end after ${restMs} ms`);
  }
}

/** What was acknowledged and not handed to the handler of somebody who was there. */
function unread({ ledger, members, witness }: World): string[] {
  const missing: string[] = [];
  for (const { userId } of members) {
    const { handled, handledToDevice } = ledger.of(userId);
    for (const { eventId, sender, roomId, text } of ledger.acknowledged.values()) {
      if (sender !== userId && !handled.has(eventId)) missing.push(`${userId} misses ${eventId} in ${roomId}: ${text}`);
    }
    for (const [id, { target, keyId }] of witness.sent) {
      if (target.userId === userId && !handledToDevice.has(id)) {
        missing.push(`${userId} misses the message ${id} between devices, which was encrypted with ${keyId}`);
      }
    }
  }
  return missing;
}

/** What has been checked need not be kept. */
function forget({ ledger, members, witness }: World): void {
  ledger.acknowledged.clear();
  witness.sent.clear();
  for (const { userId } of members) {
    ledger.of(userId).handled.clear();
    ledger.of(userId).handledToDevice.clear();
  }
}

async function checkRow(world: World, member: Member): Promise<void> {
  const { ledger } = world;
  const known = ledger.of(member.userId);
  // As it is before the row is read: a sync that brings nothing commits its token all the same.
  const acknowledged = known.revision;
  const opened = known.openings.at(-1)?.epoch ?? 0n;
  const { revision, epoch } = await world.rowOf(member);
  if (revision < acknowledged) {
    ledger.violation("a revision went back", member.userId, `${acknowledged} was acknowledged, ${revision} found`);
  }
  if (epoch < opened) ledger.violation("an epoch went back", member.userId, `${opened} was given, ${epoch} found`);
}

/** Waits until everybody has a process that is connected and has its keys. */
export async function healthy({ members, ledger, restMs }: World): Promise<void> {
  for (const member of members) {
    if (await member.process.until("connected", restMs)) continue;
    ledger.violation("a member did not come back", member.userId, `not connected after ${restMs} ms`);
  }
  await pause(0);
}
