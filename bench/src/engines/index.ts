import type { Task } from "../protocol.ts";
import type { OpenEngine, OpenIndexedDb, Subject } from "./subject.ts";

/** The crypto engine on what a task measures. Imports that and nothing else: each engine has its process to itself. */
export async function cryptoSubject(task: Task): Promise<Subject<OpenEngine>> {
  if (task.engine === "in-memory") return (await import("./in-memory.ts")).inMemorySubject();
  if (task.engine === "fake-indexeddb") return (await import("./fake-indexeddb.ts")).olmMachineOnFakeIndexedDb();
  const { keyStoreSubject, olmMachineOn } = await import("./holdfast.ts");
  return keyStoreSubject(task, olmMachineOn);
}

/** IndexedDB on what a task measures. */
export async function indexedDbSubject(task: Task): Promise<Subject<OpenIndexedDb>> {
  if (task.engine === "fake-indexeddb") return (await import("./fake-indexeddb.ts")).fakeIndexedDb();
  const { indexedDbOn, keyStoreSubject } = await import("./holdfast.ts");
  return keyStoreSubject(task, indexedDbOn);
}
