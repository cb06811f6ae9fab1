import type { JsonObject } from "../http/homeserver-api.ts";
import { arrayOf, objectOf } from "../http/json.ts";

/** The content of an `m.room.message` (Client-Server API, "Instant Messaging"). */
export interface MessageContent extends JsonObject {
  /** Such as `m.text`. */
  readonly msgtype: string;
  /** The message as plain text, or what stands for it where its kind is not known. */
  readonly body: string;
}

/** An event to reply to: what handlers are given fits. */
export interface ReplyTarget {
  readonly eventId: string;
  /** Who sent it: is mentioned by the reply. */
  readonly sender?: string | undefined;
}

/** A text. */
export function textContent(body: string): MessageContent {
  return { msgtype: "m.text", body };
}

/** What a program has to say: other programs do not answer it. */
export function noticeContent(body: string): MessageContent {
  return { msgtype: "m.notice", body };
}

/** What somebody does: "/me waves". */
export function emoteContent(body: string): MessageContent {
  return { msgtype: "m.emote", body };
}

/** A text with a form in HTML, of which clients show the part that the specification allows. */
export function htmlContent(html: string, body: string, msgtype = "m.text"): MessageContent {
  return { msgtype, body, format: "org.matrix.custom.html", formatted_body: html };
}

/** A reaction to an event. */
export function reactionContent(eventId: string, key: string): JsonObject {
  return { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key } };
}

/** What replaces an event of ours, with what clients show that know nothing of edits. */
export function editContent(eventId: string, content: MessageContent): MessageContent {
  const { "m.relates_to": _, ...replacement } = content as MessageContent & { "m.relates_to"?: JsonObject };
  const { formatted_body: html } = replacement;
  return {
    ...replacement,
    body: `* ${content.body}`,
    ...(typeof html === "string" && { formatted_body: `* ${html}` }),
    "m.new_content": replacement,
    "m.relates_to": { rel_type: "m.replace", event_id: eventId },
  };
}

/** Makes a message a reply, which mentions the sender of what it replies to. */
export function replyContent({ eventId, sender }: ReplyTarget, content: MessageContent): MessageContent {
  return {
    ...mentioning(sender, content),
    "m.relates_to": { ...objectOf(content["m.relates_to"]), "m.in_reply_to": { event_id: eventId } },
  };
}

/**
 * Puts a message into the thread that begins with an event; as a reply to one
 * of its events where `replyTo` is given.
 *
 * @param latest the event of the thread that comes before, for clients that know nothing of threads. Default: the first
 */
export function threadContent(
  root: string,
  content: MessageContent,
  options: { readonly replyTo?: ReplyTarget | undefined; readonly latest?: string | undefined } = {},
): MessageContent {
  const { replyTo, latest = root } = options;
  return {
    ...mentioning(replyTo?.sender, content),
    "m.relates_to": {
      rel_type: "m.thread",
      event_id: root,
      is_falling_back: replyTo === undefined,
      "m.in_reply_to": { event_id: replyTo?.eventId ?? latest },
    },
  };
}

function mentioning(userId: string | undefined, content: MessageContent): MessageContent {
  if (userId === undefined) return content;
  const mentions = objectOf(content["m.mentions"]);
  const others = arrayOf(mentions?.user_ids);
  return { ...content, "m.mentions": { ...mentions, user_ids: [...new Set([...others, userId])] } };
}
