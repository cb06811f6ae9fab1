import {
  type KeysBackupRequest,
  type KeysClaimRequest,
  type KeysQueryRequest,
  type KeysUploadRequest,
  type OlmMachine,
  RequestType,
  type RoomMessageRequest,
  type SignatureUploadRequest,
  type ToDeviceRequest,
  type UploadSigningKeysRequest,
} from "@matrix-org/matrix-sdk-crypto-wasm";
import { MatrixClientError } from "../errors.ts";
import type { JsonObject } from "../http/homeserver-api.ts";
import { path } from "../http/path.ts";

type AnyRequest =
  | KeysBackupRequest
  | KeysClaimRequest
  | KeysQueryRequest
  | KeysUploadRequest
  | RoomMessageRequest
  | SignatureUploadRequest
  | ToDeviceRequest;

/** A request of the engine as plain data, which outlives the call that made it. */
export interface EngineRequest {
  /** `undefined` for one whose answer the engine does not want. */
  readonly id: string | undefined;
  /** `undefined` for one that the engine does not count among its own: the upload of cross-signing keys. */
  readonly type: RequestType | undefined;
  readonly method: "POST" | "PUT";
  /** Below `/_matrix/client`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
  /** There for an event of a room, whose body is its content in the clear: the room may be encrypted. */
  readonly roomEvent?: RoomEventTarget;
}

/** Where an event of the engine goes, and under which transaction id. */
export interface RoomEventTarget {
  readonly roomId: string;
  readonly type: string;
  readonly transactionId: string;
}

/** Sends an event to a room, encrypted where the room is, and answers with its id. The same transaction id is the same event. */
export type SendToRoom = (target: RoomEventTarget, content: JsonObject) => Promise<string>;

/** What to send for a request of the engine. */
export function engineRequest(request: AnyRequest): EngineRequest {
  const { id, type, body } = request;
  return { id, type, body, ...endpoint(request) };
}

/**
 * Tells the engine, inside a `run`, what the homeserver has answered.
 *
 * @throws `HOMESERVER_UNREACHABLE` for an answer that the engine cannot read; what comes of the request is then open
 */
export async function markAsSent(
  machine: Pick<OlmMachine, "markRequestAsSent">,
  { id, type, method, path: endpointPath }: Pick<EngineRequest, "id" | "type" | "method" | "path">,
  answer: JsonObject,
): Promise<void> {
  if (id === undefined || type === undefined) return;
  try {
    await machine.markRequestAsSent(id, type, JSON.stringify(answer));
  } catch (cause) {
    const message = `the homeserver answered ${method} ${endpointPath} with something that is malformed`;
    throw new MatrixClientError("HOMESERVER_UNREACHABLE", message, { cause });
  }
}

/** What to send for the upload of cross-signing keys, which the engine wants no answer to. */
export function signingKeysRequest(request: UploadSigningKeysRequest): EngineRequest {
  const endpointPath = "/v3/keys/device_signing/upload";
  return { id: undefined, type: undefined, body: request.body, method: "POST", path: endpointPath };
}

function endpoint(request: AnyRequest): Pick<EngineRequest, "method" | "path" | "query" | "roomEvent"> {
  switch (request.type) {
    case RequestType.KeysUpload:
      return { method: "POST", path: "/v3/keys/upload" };
    case RequestType.KeysQuery:
      return { method: "POST", path: "/v3/keys/query" };
    case RequestType.KeysClaim:
      return { method: "POST", path: "/v3/keys/claim" };
    case RequestType.SignatureUpload:
      return { method: "POST", path: "/v3/keys/signatures/upload" };
    case RequestType.ToDevice: {
      const { event_type, txn_id } = request as ToDeviceRequest;
      return { method: "PUT", path: path`/v3/sendToDevice/${event_type}/${txn_id}` };
    }
    case RequestType.RoomMessage: {
      const { room_id, event_type, txn_id } = request as RoomMessageRequest;
      const endpointPath = path`/v3/rooms/${room_id}/send/${event_type}/${txn_id}`;
      const roomEvent = { roomId: room_id, type: event_type, transactionId: txn_id };
      return { method: "PUT", path: endpointPath, roomEvent };
    }
    case RequestType.KeysBackup: {
      const { version } = request as KeysBackupRequest;
      return { method: "PUT", path: "/v3/room_keys/keys", query: { version } };
    }
  }
}
