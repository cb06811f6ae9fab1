import type { Dexie } from "dexie";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { install, mount, uninstall } from "../../src/index.ts";
import { emissionsOf } from "./emissions.ts";
import { type Place, places } from "./place.ts";

// Dexie looks for the globals once, when it is loaded.
let DexieClass: typeof Dexie;
beforeAll(async () => {
  install();
  ({ Dexie: DexieClass } = await import("dexie"));
});
afterAll(() => uninstall());

/** Mounts what a place has now as all databases of the process. */
async function mounted(place: Place): Promise<{ notes: ReturnType<Dexie["table"]>; close(): Promise<void> }> {
  const mounted = mount("", await place.open());
  const db = new DexieClass("notes");
  db.version(1).stores({ notes: "++id, at" });
  const close = async (): Promise<void> => {
    db.close();
    await mounted.unmount();
  };
  onTestFinished(close);
  return { notes: db.table("notes"), close };
}

describe.each(places)("Dexie on the globals, on %s", (_name, newPlace) => {
  it("keeps what it is given, and finds it through a second instance", async () => {
    const place = newPlace();
    const first = await mounted(place);
    await first.notes.bulkAdd([{ at: new Date(1) }, { at: new Date(2) }]);
    await first.close();
    const second = await mounted(place);
    expect(await DexieClass.getDatabaseNames()).toEqual(["notes"]);
    expect(await second.notes.where("at").above(new Date(1)).toArray()).toEqual([{ id: 2, at: new Date(2) }]);
  });

  it("tells live queries of changes", async () => {
    const { notes } = await mounted(newPlace());
    const { next } = emissionsOf(DexieClass.liveQuery(() => notes.count()));
    expect(await next()).toBe(0);
    await notes.add({ at: new Date(3) });
    expect(await next()).toBe(1);
  });
});
