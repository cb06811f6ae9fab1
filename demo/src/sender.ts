import { HomeserverClient, inMemoryEngine, Party } from "@holdfast/dev-homeserver/party";
import type { SenderCommands } from "./commands.ts";
import { serve, tell } from "./serve.ts";

/** The sender's process: a crypto engine in memory, for whom nothing needs to last longer than the demo. */
let party: Party;

serve<SenderCommands>({
  async start(credentials) {
    const engine = await inMemoryEngine(credentials.userId, credentials.deviceId);
    party = new Party({ client: new HomeserverClient(credentials), engine });
    await party.flush();
    return party.identity();
  },
  createRoom: (invite, messagesPerKey) => party.createEncryptedRoom(invite, { rotation_period_msgs: messagesPerKey }),
  async send(roomId, bodies) {
    await party.sync();
    const eventIds: string[] = [];
    for (const body of bodies) {
      eventIds.push(await party.sendText(roomId, body));
      tell({ event: "progress", done: eventIds.length });
    }
    return eventIds;
  },
  async read() {
    return (await party.sync()).received;
  },
  close: () => Promise.resolve(),
});
