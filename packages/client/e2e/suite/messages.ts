import { createHash, randomBytes } from "node:crypto";
import { EventType, MsgType, RelationType } from "matrix-js-sdk";
import { expect, it } from "vitest";
import type { IncomingEvent } from "../../src/events.ts";
import { decryptFile, encryptFile, type FileSecrets } from "../support/attachment.ts";
import { Stage } from "../support/stage.ts";
import type { There } from "./suite.ts";

const FILE_BYTES = 20 * 2 ** 20;
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Our client and matrix-js-sdk in an encrypted room that both know. */
async function talk(stage: Stage) {
  const [alice, bob] = [await stage.device("alice"), await stage.device("bob")];
  const [ours, sdk] = [await stage.ours(alice), await stage.sdk(bob)];
  const roomId = await stage.room([bob, alice]);
  await sdk.knows(roomId, [alice.credentials]);
  return { alice, bob, ours, sdk, roomId };
}

export function messageSuite(there: There): void {
  it("edits, reactions, threads and redactions of ours are read by matrix-js-sdk", async () => {
    await using stage = await Stage.on(there());
    const { ours, sdk, roomId, bob } = await talk(stage);
    const { messages } = ours.client;
    const root = await ours.say(roomId, "a rot");
    await sdk.reads("a rot");
    await messages.edit(roomId, root, { msgtype: "m.text", body: "a root" });
    await ours.client.react(roomId, root, "👍");
    await messages.sendInThread(roomId, root, { msgtype: "m.text", body: "a leaf" });
    const { eventId: gone } = await ours.client.sendText(roomId, "a weed");
    await sdk.reads("a weed");
    await ours.client.redact(roomId, gone, "not wanted");
    await ours.say(roomId, "the end");
    await sdk.reads("the end");

    const room = sdk.client.getRoom(roomId);
    const event = room?.findEventById(root);
    expect(event?.getContent().body).toBe("a root");
    const reactions = room?.relations.getChildEventsForEvent(root, RelationType.Annotation, EventType.Reaction);
    expect(reactions?.getRelations().map((relation) => relation.getRelation()?.key)).toEqual(["👍"]);
    const leaf = sdk.messages.find((message) => message.getContent().body === "a leaf");
    expect([leaf?.threadRootId, leaf?.isEncrypted()]).toEqual([root, true]);
    expect(room?.findEventById(gone)?.isRedacted()).toBe(true);
    const sent = stage.homeserver.journal.events(roomId).map(({ type }) => type);
    const encrypted = Array.from({ length: 5 }, () => "m.room.encrypted");
    expect(sent.toSorted()).toEqual(["m.reaction", ...encrypted]);
    expect(bob.credentials.userId).not.toBe(ours.client.userId);
  });

  it("edits, reactions, threads and redactions of matrix-js-sdk are read by ours", async () => {
    await using stage = await Stage.on(there());
    const { ours, sdk, roomId } = await talk(stage);
    const events: IncomingEvent[] = [];
    ours.client.on("event", (event) => void events.push(event));
    const { client } = sdk;
    const root = await sdk.say(roomId, "a rot");
    const content = { msgtype: MsgType.Text, body: "a root" } as const;
    const edit = await client.sendMessage(roomId, {
      ...content,
      body: "* a root",
      "m.new_content": content,
      "m.relates_to": { rel_type: RelationType.Replace, event_id: root },
    });
    const reaction = await client.sendEvent(roomId, EventType.Reaction, {
      "m.relates_to": { rel_type: RelationType.Annotation, event_id: root, key: "👍" },
    });
    const leaf = await client.sendTextMessage(roomId, root, "a leaf");
    const gone = await client.sendTextMessage(roomId, "a weed");
    const redaction = await client.redactEvent(roomId, gone.event_id);
    await sdk.say(roomId, "the end");
    await ours.until(() => ours.bodies.includes("the end"));

    const found = (id: string) => events.find(({ eventId }) => eventId === id);
    expect(ours.bodies.filter((body) => body !== "a weed")).toEqual(["a rot", "* a root", "a leaf", "the end"]);
    expect(found(edit.event_id)).toMatchObject({
      encrypted: true,
      content: { "m.new_content": { body: "a root" }, "m.relates_to": { rel_type: "m.replace", event_id: root } },
    });
    expect(found(reaction.event_id)).toMatchObject({
      type: "m.reaction",
      content: { "m.relates_to": { rel_type: "m.annotation", event_id: root, key: "👍" } },
    });
    expect(found(leaf.event_id)?.content).toMatchObject({ "m.relates_to": { rel_type: "m.thread", event_id: root } });
    expect(found(redaction.event_id)).toMatchObject({ type: "m.room.redaction", encrypted: false });
    expect(ours.errors).toEqual([]);
  });

  it("a file of 20 MiB arrives as it was at matrix-js-sdk, and one of its own here", async () => {
    await using stage = await Stage.on(there());
    const { alice, ours, sdk, roomId } = await talk(stage);
    const [given, bytes] = [randomBytes(FILE_BYTES), randomBytes(FILE_BYTES)];
    await ours.client.sendFile(roomId, { bytes: given, name: "given.bin" });
    await sdk.reads("given.bin");
    const file = sdk.messages.at(0)?.getContent().file as FileSecrets & { readonly url: string };
    const address = sdk.client.mxcUrlToHttp(file.url, undefined, undefined, undefined, false, true, true) ?? "";
    const headers = { authorization: `Bearer ${sdk.credentials.accessToken}` };
    const stored = new Uint8Array(await (await fetch(address, { headers })).arrayBuffer());
    expect(digest(stored)).not.toBe(digest(given));
    expect(digest(decryptFile(stored, file))).toBe(digest(given));

    const { ciphertext, secrets } = encryptFile(bytes);
    const { content_uri: url } = await sdk.client.uploadContent(new Blob([new Uint8Array(ciphertext)]), {
      includeFilename: false,
    });
    await sdk.knows(roomId, [alice.credentials]);
    const message = { msgtype: MsgType.File, body: "back.bin", file: { ...secrets, url }, info: { size: FILE_BYTES } };
    await sdk.client.sendMessage(roomId, message as never);
    await ours.until(() => ours.bodies.includes("back.bin"));
    const received = ours.messages.at(-1)?.content ?? {};
    expect(digest(await ours.client.messages.downloadFile(received))).toBe(digest(bytes));
    const broken = { ...received, file: { ...secrets, url, hashes: { sha256: "A".repeat(43) } } };
    await expect(ours.client.messages.downloadFile(broken as never)).rejects.toMatchObject({ code: "MALFORMED" });
  });
}
