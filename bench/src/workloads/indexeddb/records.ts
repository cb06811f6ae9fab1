/** What is stored: a message, as a program keeps it. */
export interface BenchRecord {
  readonly id: string;
  readonly group: string;
  readonly sent: number;
  readonly author: { readonly id: string; readonly name: string };
  readonly body: string;
  readonly tags: readonly string[];
  readonly unread: boolean;
}

/** How many groups the records are in. */
const GROUPS = 100;

/** Records in the order of their ids. */
export function records(count: number): BenchRecord[] {
  return Array.from({ length: count }, (_, nth) => ({
    id: `message-${String(nth).padStart(8, "0")}`,
    group: `group-${nth % GROUPS}`,
    sent: 1_700_000_000_000 + nth,
    author: { id: `@user-${nth % 37}:localhost`, name: `User ${nth % 37}` },
    body: `This is what message ${nth} says, in a sentence that is about as long as most are.`,
    tags: ["inbox", nth % 2 === 0 ? "even" : "odd"],
    unread: nth % 3 === 0,
  }));
}

/** The same in another order, which no page of records follows. */
export function scattered<T>(items: readonly T[]): T[] {
  // A prime that divides no number of items in use: every place is met once.
  const step = 7_919;
  return items.map((item, nth) => items[(nth * step) % items.length] ?? item);
}
