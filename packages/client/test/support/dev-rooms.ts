import type { DevHomeserver, Middleware } from "@holdfast/dev-homeserver";
import { HomeserverClient, inMemoryEngine, Party } from "@holdfast/dev-homeserver/party";

/** The algorithm of encrypted rooms. */
export const MEGOLM = { algorithm: "m.megolm.v1.aes-sha2" };

/** The other side: an engine of its own, driven by other code, whose keys are published. */
export async function party(homeserver: DevHomeserver, name: string): Promise<Party> {
  return partyOf(await HomeserverClient.register(homeserver.url, name));
}

/** Another device of a party that is there. */
export async function anotherDevice({ client }: Party): Promise<Party> {
  const { homeserver, userId } = client.credentials;
  const localpart = userId.slice(1, userId.indexOf(":"));
  const identifier = { type: "m.id.user", user: localpart };
  const reply = await client.call("POST", "/login", {
    type: "m.login.password",
    identifier,
    password: `password of ${localpart}`,
  });
  const [deviceId, accessToken] = [String(reply.device_id), String(reply.access_token)];
  return partyOf(new HomeserverClient({ homeserver, userId, deviceId, accessToken }));
}

async function partyOf(client: HomeserverClient): Promise<Party> {
  const { userId, deviceId } = client.credentials;
  const other = new Party({ client, engine: await inMemoryEngine(userId, deviceId) });
  await other.flush();
  return other;
}

/** What a party has received, in short: the text of what it could decrypt, and `"undecryptable"` for what it could not. */
export async function bodiesSeenBy(reader: Party): Promise<string[]> {
  const { received } = await reader.sync();
  return received
    .filter((event) => event.kind !== "plain")
    .map((event) => (event.kind === "decrypted" ? String(event.content.body) : event.kind));
}

/** Lets one kind of request fail, as often as said, and count. */
export function fault(
  homeserver: DevHomeserver,
  matches: { readonly method?: string; readonly route: string; readonly user?: string },
  times: number,
  outcome: Middleware,
): { readonly count: () => number; readonly end: () => void } {
  let count = 0;
  const end = homeserver.use(async (call, next) => {
    const { method = call.method, route, user = call.device?.userId } = matches;
    if (call.method !== method || !call.route.endsWith(route) || call.device?.userId !== user) return next();
    count += 1;
    return count <= times ? outcome(call, next) : next();
  });
  return { count: () => count, end };
}

export const SEND = "/send/{eventType}/{txnId}";
export const hangUp: Middleware = async () => "hang up";
export const lostAnswer: Middleware = async (_, next) => {
  await next();
  return "hang up";
};
export const refuse =
  (status: number, errcode: string, more = {}): Middleware =>
  async () => ({ status, body: { errcode, error: "as the test wants it", ...more } });
