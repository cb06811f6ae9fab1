import type { Received } from "@holdfast/dev-homeserver/party";

/** What was sent: bodies by event id. */
export type Sent = ReadonlyMap<string, string>;

/** The bodies of so many messages. */
export function bodies(about: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${about}, message ${index + 1} of ${count}`);
}

/** Bodies under the ids that their events were given. */
export function sent(eventIds: readonly string[], texts: readonly string[]): Sent {
  return new Map(eventIds.map((eventId, index) => [eventId, texts[index] ?? ""]));
}

/** How many of these messages were decrypted to exactly what was sent. */
export function readOf(messages: Sent, received: readonly Received[]): number {
  const read = new Set<string>();
  for (const event of received) {
    if (event.kind !== "decrypted") continue;
    if (messages.has(event.eventId) && messages.get(event.eventId) === event.content.body) read.add(event.eventId);
  }
  return read.size;
}

/** Why messages were not read, in a few words; empty where there is nothing to say. */
export function complaints(received: readonly Received[]): string {
  const reasons = received.flatMap((event) => (event.kind === "undecryptable" ? [event.reason] : []));
  return [...new Set(reasons)].join("; ");
}
