import type { Encryption } from "../crypto/encryption.ts";
import type { DownloadOptions, HomeserverApi, JsonObject } from "../http/homeserver-api.ts";
import type { Rooms } from "../rooms/rooms.ts";
import { downloadAttachment, encryptAttachment } from "./attachments.ts";
import {
  editContent,
  emoteContent,
  htmlContent,
  type MessageContent,
  noticeContent,
  type ReplyTarget,
  reactionContent,
  replyContent,
  textContent,
  threadContent,
} from "./content.ts";
import type { Outbox, SendOptions } from "./outbox.ts";
import type { Sent } from "./outbox-item.ts";
import { clientErrors, pausedError } from "./refusal.ts";

/** What {@link Messages} works on. */
export interface MessagesParts {
  readonly api: HomeserverApi;
  readonly rooms: Rooms;
  readonly outbox: Outbox;
  /** The encryption that runs now; `undefined` while its store is away. */
  readonly encryption: () => Encryption | undefined;
}

/** A file to send. */
export interface OutgoingFile {
  readonly bytes: Uint8Array;
  /** Its name, as those who receive it see it. */
  readonly name: string;
  /** Its media type. Default: `application/octet-stream`. */
  readonly contentType?: string | undefined;
  /** What is said with it. Default: nothing. */
  readonly caption?: string | undefined;
  /** Such as `m.image`. Default: by its media type. */
  readonly msgtype?: string | undefined;
  /** More of its `info`: width and height of an image, the duration of a sound. */
  readonly info?: JsonObject | undefined;
}

/** The kinds of messages that there are, over the outbox. */
export class Messages {
  readonly #parts: MessagesParts;

  constructor(parts: MessagesParts) {
    this.#parts = Object.freeze({ ...parts });
  }

  /** Sends an `m.room.message`. @throws as `MatrixClient.send` */
  sendMessage(roomId: string, content: MessageContent, options?: SendOptions): Promise<Sent> {
    return this.#parts.outbox.send(roomId, "m.room.message", content, options);
  }

  /** Sends a text. @throws as `MatrixClient.send` */
  sendText(roomId: string, body: string, options?: SendOptions): Promise<Sent> {
    return this.sendMessage(roomId, textContent(body), options);
  }

  /** Sends a notice: a text that other programs do not answer. @throws as `MatrixClient.send` */
  sendNotice(roomId: string, body: string, options?: SendOptions): Promise<Sent> {
    return this.sendMessage(roomId, noticeContent(body), options);
  }

  /** Says what somebody does. @throws as `MatrixClient.send` */
  sendEmote(roomId: string, body: string, options?: SendOptions): Promise<Sent> {
    return this.sendMessage(roomId, emoteContent(body), options);
  }

  /** Sends a text in HTML, with its form in plain text. @throws as `MatrixClient.send` */
  sendHtml(roomId: string, html: string, body: string, options?: SendOptions): Promise<Sent> {
    return this.sendMessage(roomId, htmlContent(html, body), options);
  }

  /** Reacts to an event, with an emoji as a rule. @throws as `MatrixClient.send` */
  react(roomId: string, eventId: string, key: string, options?: SendOptions): Promise<Sent> {
    return this.#parts.outbox.send(roomId, "m.reaction", reactionContent(eventId, key), options);
  }

  /** Replaces what a message of ours says. @throws as `MatrixClient.send` */
  edit(roomId: string, eventId: string, content: MessageContent, options?: SendOptions): Promise<Sent> {
    return this.sendMessage(roomId, editContent(eventId, content), options);
  }

  /** Replies to an event, whose sender is mentioned. @throws as `MatrixClient.send` */
  reply(roomId: string, to: ReplyTarget, content: MessageContent, options?: SendOptions): Promise<Sent> {
    return this.sendMessage(roomId, replyContent(to, content), options);
  }

  /** Sends a message into the thread that begins with an event. @throws as `MatrixClient.send` */
  sendInThread(
    roomId: string,
    root: string,
    content: MessageContent,
    options: SendOptions & { readonly replyTo?: ReplyTarget | undefined } = {},
  ): Promise<Sent> {
    const { replyTo, ...sending } = options;
    return this.sendMessage(roomId, threadContent(root, content, { replyTo }), sending);
  }

  /** Takes the content of an event away, for everybody. @throws as `MatrixClient.send` */
  redact(roomId: string, eventId: string, reason?: string, options?: SendOptions): Promise<Sent> {
    return this.#parts.outbox.redact(roomId, eventId, reason, options);
  }

  /**
   * Uploads a file and sends it, encrypted where the room is. Not uploaded
   * again where it is on its way, or was sent, under the same transaction id.
   *
   * @throws as `MatrixClient.send`; `HOMESERVER_UNREACHABLE` where the upload fails
   */
  async sendFile(roomId: string, file: OutgoingFile, options: SendOptions = {}): Promise<Sent> {
    const known = await this.#parts.outbox.find(roomId, options);
    if (known !== undefined) return known;
    const content = await clientErrors(() => this.#upload(roomId, file, options.signal));
    return this.sendMessage(roomId, content, options);
  }

  /**
   * Downloads the file of a message and decrypts it where it is encrypted.
   *
   * @throws `MALFORMED` where the message has no file, the file is not what its sender has encrypted, or is longer
   * than `maxBytes`; `REQUEST_REFUSED`, `LOGIN_REFUSED`; `HOMESERVER_UNREACHABLE`; the signal's reason
   */
  downloadFile(content: JsonObject, options?: DownloadOptions): Promise<Uint8Array> {
    return clientErrors(() => downloadAttachment(this.#parts.api, content, options));
  }

  async #upload(roomId: string, file: OutgoingFile, signal: AbortSignal | undefined): Promise<MessageContent> {
    const { api, rooms, encryption } = this.#parts;
    const { bytes, name, contentType = "application/octet-stream", caption } = file;
    const content = {
      msgtype: file.msgtype ?? msgtypeOf(contentType),
      body: caption ?? name,
      filename: name,
      info: { ...file.info, mimetype: contentType, size: bytes.byteLength },
    };
    const { kind } = await rooms.encryption(roomId, signal);
    if (kind === "plain") {
      const url = await api.upload(bytes, { contentType, filename: name, signal });
      // It takes its time: the room may have become encrypted.
      if ((await rooms.encryption(roomId, signal)).kind === "plain") return { ...content, url };
    }
    if (encryption() === undefined) throw pausedError(roomId);
    const { ciphertext, secrets } = await encryptAttachment(bytes);
    // Neither its name nor its type: they are inside the message.
    return { ...content, file: { ...secrets, url: await api.upload(ciphertext, { signal }) } };
  }
}

function msgtypeOf(contentType: string): string {
  const kind = contentType.split("/")[0];
  return kind === "image" || kind === "audio" || kind === "video" ? `m.${kind}` : "m.file";
}
