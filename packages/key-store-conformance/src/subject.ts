import type { KeyStore, KeyStoreDriver, KeyStoreOptions } from "@holdfast/key-store-core";

/**
 * One storage of its own for one test: a database, a schema, a file, a piece
 * of memory. It is empty at first.
 */
export interface ConformancePlace {
  /** A new key store on this place, not yet initialised: the adapter's public class. */
  open(options: KeyStoreOptions): KeyStore;
  /** A new driver on this place, not yet connected: what the adapter gives to the core. */
  driver(): KeyStoreDriver;
  /** Frees the storage. Called once, when every store and driver on it is closed. */
  dispose(): Promise<void>;
}

/** Commits of a place, stopped between their guard and their end. See {@link ConformanceSubject.holdCommits}. */
export interface HeldCommits {
  /** Resolves when a commit has passed its guard and stands still. */
  readonly reached: Promise<void>;
  /** Resolves when another call waits for the commit that stands still. */
  readonly waitedFor: Promise<void>;
  /** Lets the commit go on, and all that come after it. May be called again. */
  release(): Promise<void>;
}

/**
 * What the suite tests: an adapter, and where it may store. The optional
 * methods are capabilities: a test that needs one is left out where it is
 * missing, and only there.
 */
export interface ConformanceSubject<Place extends ConformancePlace = ConformancePlace> {
  create(): Promise<Place>;
  /**
   * A key store over a driver that the suite has put faults into. Default: the
   * core's own; for those who wrap the core, theirs.
   */
  over?(driver: KeyStoreDriver, options: KeyStoreOptions): KeyStore;
  /** A store whose database cannot be reached. */
  unavailable?(options: KeyStoreOptions): KeyStore;
  /** Makes the time limit of every lease of a place that is in force now be over. */
  expireLeases?(place: Place): Promise<void>;
  /** Makes the next commit stop inside the database, with its device's row locked. */
  holdCommits?(place: Place): Promise<HeldCommits>;
  /** How many stored records the database has read since the place was made, at least roughly. */
  recordsRead?(place: Place): Promise<number>;
}

/** The name of a capability that a subject may have. */
export type ConformanceCapability = "unavailable" | "expireLeases" | "holdCommits" | "recordsRead";

/** One test, for any runner: `it(test.name, test.run, test.timeoutMs)`. */
export interface ConformanceTest {
  /** A sentence, unique in the suite. */
  readonly name: string;
  /** Rejects with an `AssertionError`, or with what the store threw, where the store does not conform. */
  run(): Promise<void>;
  /** How long it may take, in milliseconds, on a slow machine. */
  readonly timeoutMs: number;
}
