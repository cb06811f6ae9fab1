import { RequestType } from "@matrix-org/matrix-sdk-crypto-wasm";
import { MatrixClientError } from "../errors.ts";
import { objectOf, parseObject } from "../http/json.ts";
import type { EngineRequest } from "./outgoing.ts";

/** How often the same is asked for in a row. More than once, because a sync may have told meanwhile that it has changed again. */
const MAX_TIMES = 2;

/**
 * Counts what the engine asks for. Where an answer does not settle it, such as
 * one to a query for keys that leaves a user out, the engine asks again at
 * once, and would do so for ever.
 */
export class Repetitions {
  readonly #times = new Map<string, number>();

  /** Whether a request is about anything that was not asked for too often. It then counts as made. */
  allow(request: EngineRequest): boolean {
    const names = subjects(request);
    if (names.every((name) => this.#timesOf(name) >= MAX_TIMES)) return false;
    for (const name of names) this.#times.set(name, this.#timesOf(name) + 1);
    return true;
  }

  /** What to throw for requests none of which is allowed. */
  unsettled(requests: readonly EngineRequest[]): MatrixClientError {
    const users = requests.flatMap(usersOf);
    const more = users.length > 1 ? ` and ${users.length - 1} more` : "";
    const message =
      users.length > 0
        ? `the homeserver does not say which devices ${users[0]}${more} have`
        : "the homeserver takes requests of the crypto engine, and does not heed them";
    return new MatrixClientError("HOMESERVER_UNREACHABLE", message);
  }

  #timesOf(name: string): number {
    return this.#times.get(name) ?? 0;
  }
}

/** The users whose devices a request asks for. */
export function usersOf({ type, body }: EngineRequest): string[] {
  return type === RequestType.KeysQuery ? Object.keys(objectOf(parseObject(body)?.device_keys) ?? {}) : [];
}

/** What is asked for again, under another id, where it was not settled. Every other request is gone when it was answered. */
function subjects(request: EngineRequest): string[] {
  const { type, id } = request;
  if (type === RequestType.KeysQuery) return usersOf(request);
  return [type === RequestType.KeysUpload ? "our keys" : `request ${id}`];
}
