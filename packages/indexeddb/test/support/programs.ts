import fc from "fast-check";

/** Where a request is placed: an object store, or one of its indexes. */
type Place = { readonly store: string; readonly index: string | undefined };

/** A query: a key, a range, or all. */
export type Query =
  | { readonly kind: "all" }
  | { readonly kind: "key"; readonly key: unknown }
  | { readonly kind: "bound"; readonly bounds: readonly [unknown, unknown]; readonly open: readonly [boolean, boolean] }
  | { readonly kind: "lower" | "upper"; readonly key: unknown; readonly open: boolean };

type Direction = "next" | "nextunique" | "prev" | "prevunique";

/** What a cursor does at each record it comes to. */
interface CursorStep {
  readonly act: "continue" | "advance" | "update" | "delete" | "stop";
  readonly count: number;
}

export type Request =
  | { readonly do: "put" | "add"; readonly store: string; readonly value: unknown; readonly key: unknown }
  | { readonly do: "get" | "getKey" | "count"; readonly place: Place; readonly query: Query }
  | {
      readonly do: "getAll" | "getAllKeys";
      readonly place: Place;
      readonly query: Query;
      readonly count: number | undefined;
    }
  | { readonly do: "delete"; readonly store: string; readonly query: Query }
  | { readonly do: "clear"; readonly store: string }
  | {
      readonly do: "cursor";
      readonly place: Place;
      readonly query: Query;
      readonly direction: Direction;
      readonly steps: readonly CursorStep[];
    };

export interface TransactionStep {
  readonly mode: "readonly" | "readwrite";
  readonly requests: readonly Request[];
  /** Whether failed requests are forgiven by preventDefault(). */
  readonly forgives: boolean;
  readonly end: "auto" | "commit" | "abort";
  /** Whether each request waits for the one before it. */
  readonly oneByOne: boolean;
}

/** A small key, so that programs meet the same records again and again. */
const smallKey = fc.oneof(
  fc.integer({ min: 0, max: 6 }),
  fc.constantFrom<unknown>("a", "b", [1, "x"], [1], new Date(5), 2.5),
);

/** A property that a key path leads to is there with a value, or not at all: of undefined the other one makes a key. */
const smallValue = fc.record(
  {
    id: fc.integer({ min: 1, max: 6 }),
    n: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom<unknown>("x", null, [1])),
    u: fc.integer({ min: 0, max: 9 }),
    tags: fc.oneof(fc.array(fc.constantFrom<unknown>("p", "q", 1, null), { maxLength: 3 }), fc.constant("p")),
  },
  { requiredKeys: [] },
);

const query: fc.Arbitrary<Query> = fc.oneof(
  fc.constant<Query>({ kind: "all" }),
  smallKey.map((key): Query => ({ kind: "key", key })),
  fc
    .tuple(smallKey, smallKey, fc.boolean(), fc.boolean())
    .map(([from, to, first, second]): Query => ({ kind: "bound", bounds: [from, to], open: [first, second] })),
  fc
    .tuple(fc.constantFrom<"lower" | "upper">("lower", "upper"), smallKey, fc.boolean())
    .map(([kind, key, open]): Query => ({ kind, key, open })),
);

const store = fc.constantFrom("out", "in", "auto");
const place: fc.Arbitrary<Place> = fc.record({
  store,
  index: fc.constantFrom(undefined, "n", "u", "tags", "pair"),
});

const cursorStep: fc.Arbitrary<CursorStep> = fc.record({
  act: fc.constantFrom("continue", "continue", "advance", "update", "delete", "stop"),
  count: fc.integer({ min: 1, max: 3 }),
});

const request: fc.Arbitrary<Request> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom<"put" | "add">("put", "add"),
      store,
      value: smallValue,
      key: fc.option(smallKey, { nil: undefined }),
    }),
  },
  fc.record({ do: fc.constantFrom<"get" | "getKey" | "count">("get", "getKey", "count"), place, query }),
  fc.record({
    do: fc.constantFrom<"getAll" | "getAllKeys">("getAll", "getAllKeys"),
    place,
    query,
    count: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  }),
  fc.record({ do: fc.constant("delete" as const), store, query }),
  { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const), store }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("cursor" as const),
      place,
      query,
      direction: fc.constantFrom<Direction>("next", "nextunique", "prev", "prevunique"),
      steps: fc.array(cursorStep, { maxLength: 5 }),
    }),
  },
);

/** Transactions, one after the other, on a database with three object stores and their indexes. */
export function program(): fc.Arbitrary<TransactionStep[]> {
  const transaction = fc.record({
    mode: fc.constantFrom<"readonly" | "readwrite">("readwrite", "readwrite", "readonly"),
    requests: fc.array(request, { maxLength: 8 }),
    forgives: fc.boolean(),
    end: fc.constantFrom<"auto" | "commit" | "abort">("auto", "auto", "auto", "commit", "abort"),
    oneByOne: fc.boolean(),
  });
  return fc.array(transaction, { minLength: 1, maxLength: 5 });
}
