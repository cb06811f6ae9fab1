import type { Faults } from "./faults/faults.ts";
import type { Journal } from "./faults/journal.ts";

/** A homeserver for tests, whichever it is: what a suite may ask of it that runs on several. */
export interface TestHomeserver extends AsyncDisposable {
  readonly kind: "dev" | "synapse";
  /** Where it is: `http://HOST:PORT`, without a slash at the end. */
  readonly baseUrl: string;
  /**
   * Makes a user who can then log in with this password.
   *
   * @param localpart the name without `@` and server; it must be new
   */
  registerUser(localpart: string, password: string): Promise<{ readonly userId: string }>;
  /** Ends it, with all that it kept. Idempotent. */
  stop(): Promise<void>;
}

/** A homeserver whose calls can go wrong, and are written down. */
export interface FaultyHomeserver extends TestHomeserver {
  /** Lets calls go wrong; the faults themselves are in `@holdfast/dev-homeserver/faults`. */
  readonly faults: Faults;
  /** What reached the server. */
  readonly journal: Journal;
  /** Closes every connection, those of syncs that wait too; new ones are taken. */
  cutConnections(): void;
}
