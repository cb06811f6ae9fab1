import {
  DecryptionErrorCode,
  MegolmDecryptionError,
  type OlmMachine,
  RoomId,
  ShieldColor,
  ShieldStateCode,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/homeserver-api.ts";
import { objectOf, parseObject, textOf } from "../http/json.ts";
import { type DecryptionTrust, decryptionSettings } from "../trust/trust-requirement.ts";

/** How far the sender of an encrypted event is known. */
export interface SenderTrust {
  /** `"none"`: nothing to warn of; `"grey"`: a low warning; `"red"`: an important one. */
  readonly shield: "none" | "grey" | "red";
  /** Why, such as `UnsignedDevice` or `UnverifiedIdentity`; `undefined` where there is nothing to warn of. */
  readonly code: keyof typeof ShieldStateCode | undefined;
  /** As the event claims it; trustworthy as far as the shield says. */
  readonly senderDevice: string | undefined;
}

/** What became of an encrypted event. */
export type Decrypted =
  | { readonly ok: true; readonly type: string; readonly content: JsonObject; readonly trust: SenderTrust }
  | {
      readonly ok: false;
      /** The engine's name for it, such as `MissingRoomKey`. */
      readonly code: keyof typeof DecryptionErrorCode;
      readonly reason: string;
      /** The sender's code for withholding the key, such as `m.unverified`. */
      readonly withheld: string | undefined;
      /** Whether a key that comes later may open it. */
      readonly mayComeLater: boolean;
      readonly sessionId: string | undefined;
    };

/** What another copy of the key, or one from an earlier index, mends. */
const MAY_COME_LATER: ReadonlySet<DecryptionErrorCode> = new Set([
  DecryptionErrorCode.MissingRoomKey,
  DecryptionErrorCode.UnknownMessageIndex,
  DecryptionErrorCode.UnknownSenderDevice,
  DecryptionErrorCode.UnsignedSenderDevice,
]);

/**
 * Decrypts an event of a room. Only the engine's own "cannot" is an answer.
 *
 * @throws every other failure
 */
export async function decryptRoomEvent(
  machine: OlmMachine,
  roomId: string,
  event: JsonObject,
  requirement: DecryptionTrust,
): Promise<Decrypted> {
  const sessionId = textOf(objectOf(event.content)?.session_id);
  try {
    const text = JSON.stringify({ ...event, room_id: roomId });
    using decrypted = await machine.decryptRoomEvent(text, new RoomId(roomId), decryptionSettings(requirement));
    using shield = decrypted.shieldState(false);
    const plain = parseObject(decrypted.event) ?? {};
    return {
      ok: true,
      type: textOf(plain.type) ?? "",
      content: objectOf(plain.content) ?? {},
      trust: {
        shield: SHIELDS[shield.color],
        code: shield.code === undefined ? undefined : (ShieldStateCode[shield.code] as keyof typeof ShieldStateCode),
        senderDevice: decrypted.senderDevice?.toString(),
      },
    };
  } catch (error) {
    if (!(error instanceof MegolmDecryptionError)) throw error;
    return {
      ok: false,
      code: DecryptionErrorCode[error.code] as keyof typeof DecryptionErrorCode,
      reason: error.description,
      withheld: error.withheldCode,
      mayComeLater: sessionId !== undefined && MAY_COME_LATER.has(error.code),
      sessionId,
    };
  }
}

const SHIELDS: Readonly<Record<ShieldColor, SenderTrust["shield"]>> = {
  [ShieldColor.Red]: "red",
  [ShieldColor.Grey]: "grey",
  [ShieldColor.None]: "none",
};
