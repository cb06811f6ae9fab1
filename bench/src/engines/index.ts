import type { Task } from "../protocol.ts";
import type { Subject } from "./subject.ts";

/** What a task measures. Imports what that needs and nothing else: each engine has its process to itself. */
export async function subjectOf({ engine, directory, postgres }: Task): Promise<Subject> {
  if (engine === "in-memory") return (await import("./in-memory.ts")).inMemorySubject();
  if (engine === "fake-indexeddb") return (await import("./fake-indexeddb.ts")).fakeIndexedDbSubject();
  const holdfast = await import("./holdfast.ts");
  if (engine === "memory") return holdfast.memorySubject();
  if (engine === "sqlite") return holdfast.sqliteSubject(directory);
  if (postgres === undefined) throw new Error("a task on PostgreSQL needs a database");
  return holdfast.postgresSubject(postgres);
}
