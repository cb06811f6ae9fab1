import type { Logger } from "@holdfast/key-store-core";
import { DeviceLists, type OlmMachine, ProcessedToDeviceEventType, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { JsonObject } from "../http/homeserver-api.ts";
import { objectOf, parseObject, textOf } from "../http/json.ts";
import { type DecryptionTrust, decryptionSettings } from "../trust/trust-requirement.ts";
import type { SyncUpdate } from "./sync-response.ts";

/** A message between devices, opened where it was encrypted. */
export interface ProcessedToDevice {
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly encrypted: boolean;
}

/** What tells which messages are opened, and of those that cannot be. */
export interface ToDeviceParts {
  readonly requirement: DecryptionTrust;
  readonly logger: Logger;
}

/** As the engine answers. */
type Processed = { readonly type: ProcessedToDeviceEventType; readonly rawEvent: string };

/**
 * Gives the engine what a sync has for it, and answers with the messages
 * between devices.
 *
 * Each message is a call of its own. Of a room key that comes again the engine
 * keeps the copy that reaches further back, by comparing what comes with what
 * is stored, and not with what the same call has brought
 * (`preprocess_sync_changes` and `merge_received_group_session` of
 * matrix-sdk-crypto 0.19): of two copies in one call the last one stays, and
 * whoever was away while a key was shared anew could not read what was sent
 * between the two.
 */
export async function receive(
  machine: OlmMachine,
  update: SyncUpdate,
  { requirement, logger }: ToDeviceParts,
): Promise<ProcessedToDevice[]> {
  const processed = await receiveNews(machine, update, logger);
  for (const message of update.toDevice) {
    const messages = JSON.stringify([message]);
    const settings = decryptionSettings(requirement);
    processed.push(
      ...(await machine.receiveSyncChangesMsc4186(messages, new DeviceLists(), new Map(), undefined, settings)),
    );
  }
  return (processed as Processed[]).flatMap((message) => opened(message, logger));
}

/** Tells the engine what a sync says of devices and of keys. It may answer with what it has to say to itself. */
function receiveNews(machine: OlmMachine, update: SyncUpdate, logger: Logger): Promise<unknown[]> {
  const { deviceLists, oneTimeKeyCounts: counts, unusedFallbackKeys } = update;
  const userIds = (texts: readonly string[]): UserId[] => texts.flatMap((text) => userId(text, logger));
  const lists = new DeviceLists(userIds(deviceLists.changed), userIds(deviceLists.left));
  const fallback = unusedFallbackKeys && new Set(unusedFallbackKeys);
  return counts === undefined
    ? machine.receiveSyncChangesMsc4186("[]", lists, new Map(), fallback)
    : machine.receiveSyncChanges("[]", lists, new Map(counts), fallback);
}

function opened({ type, rawEvent }: Processed, logger: Logger): ProcessedToDevice[] {
  const raw = parseObject(rawEvent);
  if (type === ProcessedToDeviceEventType.UnableToDecrypt) {
    const sender = textOf(raw?.sender) ?? "somebody unknown";
    logger.warn(`A message between devices from ${sender} cannot be decrypted`);
  }
  if (type !== ProcessedToDeviceEventType.Decrypted && type !== ProcessedToDeviceEventType.PlainText) return [];
  const [name, sender] = [textOf(raw?.type), textOf(raw?.sender)];
  if (name === undefined || sender === undefined) return [];
  const encrypted = type === ProcessedToDeviceEventType.Decrypted;
  return [{ type: name, sender, content: objectOf(raw?.content) ?? {}, encrypted }];
}

function userId(text: string, logger: Logger): UserId[] {
  try {
    return [new UserId(text)];
  } catch {
    logger.warn("The homeserver named a user whose id is malformed");
    return [];
  }
}
