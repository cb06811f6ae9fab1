import type { Logger } from "@holdfast/key-store-core";
import { type OlmMachine, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";

/** How many users are remembered as told: of more, the engine is told again, which does nothing. */
const MAX_TOLD = 50_000;

/** The users whose devices and identities are wanted, on their way to the engine. */
export class Following {
  readonly #logger: Logger;
  readonly #told = new Set<string>();
  #waiting = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(userIds: Iterable<string>): void {
    for (const userId of userIds) if (!this.#told.has(userId)) this.#waiting.add(userId);
  }

  /** Tells the engine, which asks for those that it does not know, and answers with who they were. To be called inside a `run`. */
  async tell(machine: OlmMachine): Promise<Iterable<string>> {
    if (this.#waiting.size === 0) return [];
    const users = this.#waiting;
    this.#waiting = new Set();
    try {
      await machine.updateTrackedUsers([...users].flatMap((userId) => this.#userId(userId)));
    } catch (error) {
      this.add(users);
      throw error;
    }
    if (this.#told.size + users.size > MAX_TOLD) this.#told.clear();
    for (const userId of users) this.#told.add(userId);
    return users;
  }

  #userId(text: string): UserId[] {
    try {
      return [new UserId(text)];
    } catch {
      this.#logger.warn("A user whose id is malformed sends events: nothing is asked of their devices");
      return [];
    }
  }
}
