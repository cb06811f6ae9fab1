import type { ScenarioName } from "../scenarios/index.ts";

/** A line of a published package, and what stands in its place in a mutant. */
export interface Patch {
  /** From `packages` on. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The packages without one safeguard. */
export interface Mutant {
  readonly name: string;
  /** What is removed, for people. */
  readonly removes: string;
  readonly patches: readonly Patch[];
  /** What finds it out. */
  readonly scenario: ScenarioName;
  /** Where it is looked for: what an adapter does by itself on both, what stands above them once. */
  readonly stores: readonly ("sqlite" | "postgres")[];
}

const SQLITE_GUARD = "revision = revision + 1 where id = ? and holder = ? and epoch = ? and revision = ?";
const POSTGRES_GUARD = "id = $1::bigint and holder = $2::text and epoch = $3::bigint and revision = $4::bigint";

/** The guard of a commit without one of its conditions. */
function withoutCondition(column: "holder" | "epoch" | "revision"): Patch[] {
  const condition = new RegExp(`and (${column} = (?:\\?|\\$\\d::\\w+))`);
  return [
    ["key-store-sqlite/src/statements.ts", SQLITE_GUARD] as const,
    ["key-store-postgres/src/sql.ts", POSTGRES_GUARD] as const,
  ].map(([file, from]) => ({ file, from, to: from.replace(condition, "and (true or $1)") }));
}

const MUTANTS: readonly Mutant[] = [
  {
    name: "guard-holder",
    removes: "the holder in the guard of a commit",
    patches: withoutCondition("holder"),
    scenario: "another holder in the same epoch",
    stores: ["sqlite", "postgres"],
  },
  {
    name: "guard-epoch",
    removes: "the epoch in the guard of a commit",
    patches: withoutCondition("epoch"),
    scenario: "late commits",
    stores: ["sqlite", "postgres"],
  },
  {
    name: "guard-revision",
    removes: "the revision in the guard of a commit",
    patches: withoutCondition("revision"),
    scenario: "rolled back under a writer",
    stores: ["sqlite", "postgres"],
  },
  {
    name: "batch",
    removes: "the one durable commit of a call of the engine",
    patches: [
      {
        file: "key-store-core/src/driver-device-store.ts",
        from: "if (this.#batch?.isOpen) this.#batch.overlay.absorb(overlay);",
        to: "if (false) return;",
      },
    ],
    scenario: "killed at each commit",
    stores: ["sqlite"],
  },
  {
    name: "poisoning",
    removes: "that a device store is of no use after its first failure",
    patches: [
      {
        file: "key-store-core/src/driver-device-store.ts",
        from: 'if (failure.code !== "ERR_KEY_STORE_POISONED" && this.#failure === undefined) {',
        to: "if (false) {",
      },
    ],
    scenario: "a commit that brings keys is refused",
    stores: ["sqlite"],
  },
  {
    name: "token-after-state",
    removes: "that the sync token is committed with what it acknowledges: it is committed before",
    patches: [
      {
        file: "client/src/sync/durable-sync.ts",
        from: "const taken = await encryption.run(async (machine) => {",
        to: "await encryption.commit([this.#records.put(TOKEN, { token: update.nextBatch })]); const taken = await encryption.run(async (machine) => {",
      },
    ],
    scenario: "killed at each commit",
    stores: ["sqlite"],
  },
  {
    name: "locking-look",
    removes: "the lock and the new epoch of the look after an uncertain commit",
    patches: [
      {
        file: "key-store-core/src/device-row.ts",
        from: "const look = () => driver.settle(holder.id);",
        to: "const look = () => driver.state();",
      },
      {
        file: "key-store-core/src/device-row.ts",
        from: "state.epoch > guard.epoch",
        to: "state.epoch >= guard.epoch",
      },
    ],
    scenario: "late commits",
    stores: ["sqlite", "postgres"],
  },
  {
    name: "upload-intent",
    removes: "the intent that is written before keys are uploaded",
    patches: [
      {
        file: "client/src/crypto/key-upload.ts",
        from: "} else if (begun === undefined) {",
        to: "} else if (true) {",
      },
    ],
    scenario: "keys uploaded and claimed, and no answer",
    stores: ["sqlite"],
  },
  {
    name: "identity-check",
    removes: "the comparison of the identity with the one that the homeserver shows",
    patches: [
      {
        file: "client/src/crypto/identity-guard.ts",
        from: 'if (shown.ed25519 === identity.ed25519 && shown.curve25519 === identity.curve25519) return "equal";',
        to: 'return "equal";',
      },
    ],
    scenario: "the store is lost",
    stores: ["sqlite"],
  },
];

/** The mutants that a name means. @throws Error for a name that none has */
export function mutantsNamed(name: string): readonly Mutant[] {
  const named = name === "all" ? MUTANTS : MUTANTS.filter((mutant) => mutant.name === name);
  if (named.length > 0) return named;
  throw new Error(`there is no mutant ${name}: all, ${MUTANTS.map((mutant) => mutant.name).join(", ")}`);
}

/** A source with its patches. @throws Error where a line that is to be replaced is not there exactly once: a mutant that changes nothing proves nothing */
export function patched(source: string, patches: readonly Patch[]): string {
  let result = source;
  for (const { file, from, to } of patches) {
    if (result.split(from).length !== 2) throw new Error(`${file} has not exactly one "${from}": mend the mutant`);
    result = result.replace(from, () => to);
  }
  return result;
}
