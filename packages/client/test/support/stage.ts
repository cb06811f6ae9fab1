import { type DevHomeserver, startDevHomeserver } from "@holdfast/dev-homeserver";
import { afterEach, beforeEach } from "vitest";
import type { JsonObject } from "../../src/http/homeserver-api.ts";
import type { SendOptions } from "../../src/send/outbox.ts";
import { MEGOLM, party } from "./dev-rooms.ts";
import { register, SendingClient, type SendingClientOptions } from "./sending-client.ts";

/** A homeserver and the clients on it, which end with it. */
export class Stage implements AsyncDisposable {
  readonly homeserver: DevHomeserver;
  readonly #open: SendingClient[] = [];

  constructor(homeserver: DevHomeserver) {
    this.homeserver = homeserver;
  }

  static async start(): Promise<Stage> {
    return new Stage(await startDevHomeserver());
  }

  /** A new user whose keys are published. */
  async bot(options: SendingClientOptions = {}): Promise<SendingClient> {
    return this.add(await SendingClient.open(await register(this.homeserver.url, "bot"), options));
  }

  /** The next process of a client, on what it has left. */
  async reopen({ login, storage }: SendingClient): Promise<SendingClient> {
    return this.add(await SendingClient.open(login, { storage }));
  }

  add(client: SendingClient): SendingClient {
    this.#open.push(client);
    return client;
  }

  /** A bot and Alice in an encrypted room. */
  async talk(encryption: JsonObject = MEGOLM) {
    const [sender, alice] = [await this.bot(), await party(this.homeserver, "alice")];
    const room = await sender.createRoom({ encryption, invite: [alice.userId] });
    await alice.join(room);
    await sender.sync();
    return { sender, alice, room };
  }

  /** As {@link talk}, in a room that no sync has told the bot of: it knows nobody's devices. */
  async untold() {
    const [sender, alice] = [await this.bot(), await party(this.homeserver, "alice")];
    const room = await sender.createRoom({ encryption: MEGOLM, invite: [alice.userId] });
    await alice.join(room);
    return { sender, alice, room };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#open.splice(0)) await client.close();
    await this.homeserver.close();
  }
}

/** Gives each test of a file a stage of its own: tells of it before the test, and ends it afterwards. */
export function useStage(tell: (stage: Stage) => void): void {
  let stage: Stage;
  beforeEach(async () => {
    stage = await Stage.start();
    tell(stage);
  });
  afterEach(() => stage[Symbol.asyncDispose]());
}

/** The content of a text. */
export const text = (body: string) => ({ msgtype: "m.text", body });

export const sendText = (client: SendingClient, room: string, body: string, options: SendOptions = {}) =>
  client.outbox.send(room, "m.room.message", text(body), options);

/** The types of a room's events that are no state, as the homeserver has them. */
export const types = async (client: SendingClient, room: string) =>
  (await client.timeline(room)).map(({ type }) => type);
