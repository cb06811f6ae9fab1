import type { ProcessedToDevice } from "../../src/sync/to-device.ts";
import type { Verification } from "../../src/trust/verification/verification.ts";
import { Verifications, type VerificationsParts } from "../../src/trust/verification/verifications.ts";
import { type Device, sendPlainly } from "./device.ts";

/** A device's verifications, fed by syncs in the background until the device is closed. */
export function verifying(
  device: Device,
  parts: Partial<VerificationsParts> = {},
  onToDevice: (messages: readonly ProcessedToDevice[]) => Promise<void> = async () => {},
): Verifications {
  const verifications = new Verifications({
    encryption: device.encryption,
    sendToRoom: sendPlainly(device.api),
    ...parts,
  });
  const stopping = new AbortController();
  const syncing = (async () => {
    while (!stopping.signal.aborted) {
      const { toDevice, timeline } = await device.sync(10_000, stopping.signal);
      await verifications.receiveToDevice(toDevice);
      await onToDevice(toDevice);
      for (const { roomId, event } of timeline) {
        const { event_id: eventId, sender, type, content, origin_server_ts: timestamp } = event;
        await verifications.receiveRoomEvent({ roomId, eventId, sender, type, content, timestamp, raw: event });
      }
    }
  })().catch((error) => {
    if (!stopping.signal.aborted) throw error;
  });
  device.onClose(async () => {
    stopping.abort();
    await syncing;
  });
  return verifications;
}

/** A policy that accepts, and the verification that was asked for. */
export function accepting() {
  const asked = Promise.withResolvers<Verification>();
  const onRequest = (request: Verification): "accept" => {
    asked.resolve(request);
    return "accept";
  };
  return { onRequest, asked: asked.promise };
}
