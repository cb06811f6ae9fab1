import {
  type KeysBackupRequest,
  type KeysClaimRequest,
  type KeysQueryRequest,
  type KeysUploadRequest,
  RequestType,
  type RoomMessageRequest,
  type SignatureUploadRequest,
  type ToDeviceRequest,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import type { Engine } from "./engine.ts";
import { type HomeserverClient, path } from "./homeserver-client.ts";

type EngineRequest =
  | KeysBackupRequest
  | KeysClaimRequest
  | KeysQueryRequest
  | KeysUploadRequest
  | RoomMessageRequest
  | SignatureUploadRequest
  | ToDeviceRequest;

/** A request of the engine as plain data, which outlives the engine's call. */
export interface Outgoing {
  /** `undefined` for one whose answer the engine does not want. */
  readonly id: string | undefined;
  readonly type: RequestType;
  readonly method: string;
  readonly path: string;
  /** JSON. */
  readonly body: string;
}

/** What to send for a request of the engine. */
export function outgoing(request: EngineRequest): Outgoing {
  const { id, type, body } = request;
  return { id, type, body, ...endpoint(request) };
}

/** Sends requests one after the other, and tells the engine of each answer. */
export async function sendAll(engine: Engine, client: HomeserverClient, requests: readonly Outgoing[]): Promise<void> {
  for (const { id, type, method, path: endpointPath, body } of requests) {
    const answer = JSON.stringify(await client.call(method, endpointPath, body));
    if (id !== undefined) await engine.run((machine) => machine.markRequestAsSent(id, type, answer));
  }
}

/** Sends what the engine has to send, until it has nothing more. */
export async function flush(engine: Engine, client: HomeserverClient): Promise<void> {
  for (;;) {
    const requests = await engine.run(async (machine) =>
      ((await machine.outgoingRequests()) as EngineRequest[]).map(outgoing),
    );
    if (requests.length === 0) return;
    await sendAll(engine, client, requests);
  }
}

function endpoint(request: EngineRequest): Pick<Outgoing, "method" | "path"> {
  switch (request.type) {
    case RequestType.KeysUpload:
      return { method: "POST", path: "/keys/upload" };
    case RequestType.KeysQuery:
      return { method: "POST", path: "/keys/query" };
    case RequestType.KeysClaim:
      return { method: "POST", path: "/keys/claim" };
    case RequestType.SignatureUpload:
      return { method: "POST", path: "/keys/signatures/upload" };
    case RequestType.ToDevice: {
      const { event_type, txn_id } = request as ToDeviceRequest;
      return { method: "PUT", path: path("sendToDevice", event_type, txn_id) };
    }
    case RequestType.RoomMessage: {
      const { room_id, event_type, txn_id } = request as RoomMessageRequest;
      return { method: "PUT", path: path("rooms", room_id, "send", event_type, txn_id) };
    }
    case RequestType.KeysBackup: {
      const { version } = request as KeysBackupRequest;
      return { method: "PUT", path: `/room_keys/keys?version=${encodeURIComponent(version)}` };
    }
  }
}
