import type { Change, DeviceStore } from "@holdfast/key-store-core";
import type { OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { OpenCollection } from "../records/sealed-collection.ts";
import type { EngineRequest } from "./outgoing.ts";

/**
 * The device's encryption while it runs: one opened engine on one opened device
 * store. After the store has failed every method rejects with the store's
 * error, and the client opens another.
 */
export interface Encryption {
  readonly userId: string;
  readonly deviceId: string;
  readonly deviceStore: DeviceStore;
  /** The client's own records in the same store. */
  readonly collection: OpenCollection;

  /**
   * Runs work on the engine, alone, as one durable commit with all that it
   * commits to the device store. Nothing of what it made may leave the process
   * before this has resolved. Work holds up everything else: it never waits for the network.
   *
   * @throws the store's `KeyStoreError`, and what `work` throws (what was written until then is committed)
   */
  run<T>(work: (machine: OlmMachine) => Promise<T>): Promise<T>;

  /** Commits changes of the client's own records, as one durable commit or as part of the `run` it is called from. */
  commit(changes: readonly Change[]): Promise<void>;

  /**
   * Sends one request of the engine, which a `run` that has resolved returned,
   * and tells the engine of the answer, durably. `andThen` is part of the `run` that does.
   *
   * @throws what `HomeserverApi.request` and {@link run} throw
   */
  send(request: EngineRequest, signal?: AbortSignal, andThen?: (machine: OlmMachine) => Promise<void>): Promise<void>;

  /**
   * Sends all that the engine had to send when this was called, and what comes
   * of it, in order. Calls that overlap share one round. A request that fails
   * does not hold up those after it; it is there again at the next call, as is
   * what an answer has not settled, which is asked for twice at most.
   *
   * @throws one of the failures, when everything was tried: one that no repetition mends before a rate limit, and
   * that before others; `HOMESERVER_UNREACHABLE` for what the answers did not settle
   */
  flush(): Promise<void>;

  /**
   * Wants to know the devices and the identities of these users, and what becomes of them. Those that are new are
   * asked for by the next {@link flush}; until then they are in memory only.
   */
  follow(userIds: Iterable<string>): void;

  /**
   * Those of these users whose devices the engine asks for, or is asking for: a {@link flush} that is called after
   * this has tells of them. They are followed from now on.
   *
   * @throws what {@link run} throws
   */
  wanted(userIds: readonly string[]): Promise<readonly string[]>;

  /** A sync has told that these users' devices have changed. To be called inside the `run` that takes it in. */
  devicesChanged(userIds: readonly string[]): void;

  /** Calls `listener` when room keys have come; answers with how to take it off. They are durable soon after, not yet when it is called. */
  onRoomKeys(listener: (keys: readonly RoomKey[]) => void): () => void;
}

/** Which room key: a Megolm session of a room. */
export interface RoomKey {
  readonly roomId: string;
  readonly sessionId: string;
}
