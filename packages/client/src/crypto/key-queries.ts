import { RequestType } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { EngineRequest } from "./outgoing.ts";
import { usersOf } from "./repetitions.ts";

/**
 * The queries for devices that are under way. While there are any, the engine is
 * not to be asked what it has to send: it then forgets which queries it had made
 * (`IdentityManager::users_for_key_query` of matrix-sdk-crypto 0.19), and their
 * answers leave their users as unknown as before.
 */
export class KeyQueries {
  readonly #underWay = new Map<string, readonly string[]>();
  /** Users of whom something was told since the queries were made. */
  readonly #told = new Set<string>();

  get areUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  /** Queries are about to be sent: all that the engine wants at this moment. */
  begin(requests: readonly EngineRequest[]): void {
    this.#told.clear();
    for (const request of requests) {
      if (request.type === RequestType.KeysQuery && request.id !== undefined) {
        this.#underWay.set(request.id, usersOf(request));
      }
    }
  }

  /** A query was answered, or has failed; without one, those that were not sent are dropped. */
  end(request?: EngineRequest): void {
    if (request === undefined) this.#underWay.clear();
    else if (request.id !== undefined) this.#underWay.delete(request.id);
  }

  /** The engine was told of users who are new to it, or whose devices have changed. */
  told(userIds: Iterable<string>): void {
    if (this.areUnderWay) for (const userId of userIds) this.#told.add(userId);
  }

  /** Those of some users who are asked for, or may have to be asked for again. */
  among(userIds: readonly string[]): string[] {
    const asked = new Set([...this.#underWay.values()].flat());
    return userIds.filter((userId) => asked.has(userId) || this.#told.has(userId));
  }
}
