import fc from "fast-check";

/**
 * How often a property is tried, and from where: a few times in every run, for
 * long with `FUZZ_RUNS` (a factor), again as it failed with `FUZZ_SEED`.
 */
export function budget(runs: number): fc.Parameters<unknown> {
  const { FUZZ_RUNS, FUZZ_SEED } = process.env;
  // What fails is shown as it is: to make it smaller would take longer than anybody waits.
  return { endOnFailure: true, numRuns: runs * Number(FUZZ_RUNS ?? 1), seed: Number(FUZZ_SEED ?? 20_260_101) };
}

/** How long a test of `runs` runs may take, in milliseconds. */
export function fuzzTimeout(ms: number): number {
  return ms * Number(process.env.FUZZ_RUNS ?? 1);
}

const TEXTS = [
  "",
  "m.room.message",
  "m.room.encrypted",
  "m.room.encryption",
  "m.room.member",
  "m.room_key",
  "m.dummy",
  "m.megolm.v1.aes-sha2",
  "m.olm.v1.curve25519-aes-sha2",
  "@alice:localhost",
  "@x",
  "!room:localhost",
  "$event",
  "join",
  "__proto__",
  "constructor",
  "\u0000",
  "\ud800",
  "A".repeat(300),
];

/** Values as JSON has them: of the wrong types, sizes and ranges, and of names that mean something. */
export const anything: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, -1, 1.5, 2 ** 53, 1e308),
    fc.constantFrom(...TEXTS),
    fc.string({ maxLength: 20 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...TEXTS), fc.string({ maxLength: 8 })), tie("value"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
})).value;

/** A JSON value in which something at some place is something else, or gone. */
export function damaged(valid: unknown): fc.Arbitrary<unknown> {
  const paths = pathsOf(valid);
  const change = fc.record({ path: fc.constantFrom(...paths), value: fc.option(anything, { nil: undefined }) });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    let result = structuredClone(valid);
    for (const { path, value } of changes) result = replaced(result, path, value);
    return result;
  });
}

function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [[]];
  return [[], ...Object.entries(value).flatMap(([name, inner]) => pathsOf(inner).map((path) => [name, ...path]))];
}

function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by;
  if (typeof value !== "object" || value === null) return value;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
  const inner = replaced(copy[name], rest, by);
  if (inner === undefined) delete copy[name];
  else copy[name] = inner;
  return copy;
}
