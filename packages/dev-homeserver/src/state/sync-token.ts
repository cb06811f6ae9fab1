import { MatrixError } from "../http/matrix-error.ts";

/** How far a client has read: the stream as a whole, and its to-device messages, which come in pages. */
export interface SyncToken {
  readonly stream: number;
  readonly toDevice: number;
}

/** Before everything. */
export const START: SyncToken = { stream: 0, toDevice: 0 };

export function formatSyncToken(token: SyncToken): string {
  return `s${token.stream}_${token.toDevice}`;
}

/** @throws MatrixError `M_UNKNOWN`, as Synapse says it */
export function parseSyncToken(text: string): SyncToken {
  const [, stream, toDevice] = /^s(\d+)_(\d+)$/.exec(text) ?? [];
  if (stream === undefined || toDevice === undefined) {
    throw new MatrixError(400, "M_UNKNOWN", "Invalid stream token");
  }
  return { stream: Number(stream), toDevice: Number(toDevice) };
}

/** A place in a room: behind everything up to this position. */
export function formatRoomToken(position: number): string {
  return `t${position}`;
}

/**
 * The position of a place in a room; sync tokens are such places too.
 *
 * @throws MatrixError `M_UNKNOWN`, as Synapse says it
 */
export function parseRoomToken(text: string): number {
  const [, position] = /^t(\d+)$/.exec(text) ?? [];
  return position === undefined ? parseSyncToken(text).stream : Number(position);
}
