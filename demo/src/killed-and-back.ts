import { rm } from "node:fs/promises";
import { sameIdentity } from "@holdfast/dev-homeserver/party";
import type { KeyStoreStats } from "@holdfast/key-store-core";
import { bodies, complaints, readOf, type Sent, sent } from "./conversation.ts";
import type { Receiver, Stage } from "./stage.ts";

/** One act on one store. */
export interface KilledAndBack {
  /** The receiver's name on the homeserver. */
  readonly username: string;
  /** The variables that choose the store, for a process in this directory. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the second process finds the disk of the first, or an empty one as in a new container. */
  readonly disk: "kept" | "empty";
  /** What the store is called. */
  readonly store: string;
}

/** What an act showed. */
export interface Outcome {
  readonly store: string;
  readonly sent: number;
  /** Read by the first process, of the messages sent before the kill. */
  readonly before: string;
  /** Read by the second process, of the same messages. */
  readonly old: string;
  /** Read by the second process, of those that came during and after the kill. */
  readonly new: string;
  readonly unread: number;
  readonly identity: "same" | "CHANGED";
  readonly restartMs: number;
  readonly stats: KeyStoreStats;
}

const OLD = 20;
const INTERRUPTED = 10;
const AWAY = 10;
const MESSAGES_PER_KEY = 5;

/**
 * A receiver reads, is killed in the middle of a sync that brings room keys,
 * and starts again: its identity must be the same, and every message readable,
 * old and new.
 */
export async function killedAndBack(stage: Stage, act: KilledAndBack): Promise<Outcome> {
  const { story, sender } = stage;
  const credentials = await stage.account(act.username);
  const disk = await stage.directory(act.username);
  const first = stage.receiver(disk, act.environment);
  const before = await story.step("the receiver starts", () => first.call("start", [credentials]));
  const known = sameIdentity(before.identity, before.published);
  story.expect(
    before.keyStoreAvailable && known,
    `The receiver starts on ${before.store}, process ${first.pid}, identity ${before.identity.ed25519.slice(0, 12)}…`,
    `The receiver does not run on ${act.store}, or the homeserver shows another identity than it has.`,
  );

  const room = await sender.call("createRoom", [[credentials.userId], MESSAGES_PER_KEY]);
  await first.call("join", [room]);
  const old = await send(stage, room, `before the kill, ${act.store}`, OLD);
  const readBefore = await read(stage, first, old);
  story.expect(
    readBefore.read === OLD,
    `It reads ${OLD} encrypted messages.`,
    `It reads only ${readBefore.read} of ${OLD} messages: ${readBefore.complaints}`,
  );

  const interrupted = await send(stage, room, `during the kill, ${act.store}`, INTERRUPTED);
  await killInsideSync(stage, first);
  if (act.disk === "empty") await rm(disk, { recursive: true });
  const away = await send(stage, room, `after the kill, ${act.store}`, AWAY);

  const disk2 = act.disk === "empty" ? await stage.directory(`${act.username}-new-container`) : disk;
  const second = stage.receiver(disk2, act.environment);
  const started = performance.now();
  const after = await story.step("the receiver starts again", () => second.call("start", [credentials]));
  const restartMs = performance.now() - started;
  const same = sameIdentity(before.identity, after.identity) && sameIdentity(before.identity, after.published);
  const where = act.disk === "empty" ? "with an empty disk" : "on the same disk";
  story.expect(
    same,
    `It starts again ${where}, process ${second.pid}, with the same identity ${after.identity.ed25519.slice(0, 12)}…`,
    `It starts again ${where}, but with another identity: ${after.identity.ed25519.slice(0, 12)}…`,
  );

  const news: Sent = new Map([...interrupted, ...away]);
  const readAfter = await read(stage, second, news);
  story.expect(
    readAfter.read === news.size,
    `It reads the ${news.size} new messages, those of the interrupted sync among them.`,
    `It reads only ${readAfter.read} of ${news.size} new messages: ${readAfter.complaints}`,
  );
  const history = await story.step("it reads the history again", () => second.call("history", [room]));
  const everything: Sent = new Map([...old, ...news]);
  const readOld = readOf(old, history);
  const unread = everything.size - readOf(everything, history);
  story.expect(
    unread === 0,
    `It reads the whole history of ${everything.size} messages again, the ${OLD} old ones among them.`,
    `${unread} of ${everything.size} messages of the history stay unread: ${complaints(history)}`,
  );
  const answered = await answer(stage, second, room);
  story.expect(answered, "It answers, and the sender reads the answer.", "The sender cannot read its answer.");
  const stats = await second.call("stats", []);
  await second.call("close", []);
  return {
    store: act.store,
    sent: everything.size,
    before: `${readBefore.read} of ${OLD}`,
    old: `${readOld} of ${OLD}`,
    new: `${readAfter.read} of ${news.size}`,
    unread: Math.max(unread, OLD - readBefore.read, news.size - readAfter.read),
    identity: same ? "same" : "CHANGED",
    restartMs,
    stats,
  };
}

/** Sends so many messages; answers with what was sent. */
export async function send(stage: Stage, room: string, about: string, count: number): Promise<Sent> {
  const texts = bodies(about, count);
  const eventIds = await stage.story.step(`the sender sends ${count} messages`, (progress) =>
    stage.sender.call("send", [room, texts], (done) => progress(`${done} of ${count}`)),
  );
  return sent(eventIds, texts);
}

/** Lets a receiver read what was sent; answers with how many messages it read as they were sent. */
export async function read(
  stage: Stage,
  receiver: Receiver,
  messages: Sent,
): Promise<{ readonly read: number; readonly complaints: string }> {
  const received = await stage.story.step("the receiver reads", (progress) =>
    receiver.call("read", [messages.size], (done) => progress(`${done} of ${messages.size}`)),
  );
  return { read: readOf(messages, received), complaints: complaints(received) };
}

async function killInsideSync({ story }: Stage, receiver: Receiver): Promise<void> {
  await story.step("the receiver syncs, and is killed", async () => {
    const inside = receiver.next("inside sync");
    // Ends with the process, which is what it is meant to do.
    const ended = receiver.call("syncAndStandStill", []).catch((error: Error) => error.message);
    const { toDevice } = await Promise.race([inside, ended.then((why) => Promise.reject(new Error(why)))]);
    const how = await receiver.kill();
    story.expect(
      how === "SIGKILL" && toDevice > 0,
      `It is killed by ${how} in the middle of its next sync: ${toDevice} messages with room keys taken in, nothing committed yet.`,
      `It was to be killed in the middle of a sync that brings room keys, but ended with ${how}, ${toDevice} in hand.`,
    );
    await ended;
  });
}

async function answer({ story, sender }: Stage, receiver: Receiver, room: string): Promise<boolean> {
  const text = "all read";
  return story.step("the receiver answers", async () => {
    const eventId = await receiver.call("send", [room, text]);
    return readOf(new Map([[eventId, text]]), await sender.call("read", [])) === 1;
  });
}
