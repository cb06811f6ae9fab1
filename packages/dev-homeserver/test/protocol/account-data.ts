import { expect, test } from "vitest";
import { FORBIDDEN, NOT_FOUND, path, types, type World } from "./actors.ts";

export function accountDataSuite(world: () => World): void {
  test("is kept by type, and told to every device of its owner", async () => {
    const alice = await world().actor();
    const other = await world().login(alice.userId, "OTHER");
    const data = (type: string) => path("user", alice.userId, "account_data", type);
    await expect(alice.call("GET", data("org.example.first"))).rejects.toMatchObject(NOT_FOUND);
    const first = await other.sync();
    expect(types(first.account_data?.events)).toContain("m.push_rules");
    await alice.call("PUT", data("org.example.first"), { n: 1 });
    await alice.call("PUT", data("org.example.first"), { n: 2 });
    expect(await alice.call("GET", data("org.example.first"))).toEqual({ n: 2 });
    const second = await other.sync(first.next_batch);
    expect(second.account_data?.events).toEqual([{ type: "org.example.first", content: { n: 2 } }]);
    expect((await other.sync(second.next_batch)).account_data).toBeUndefined();
    expect(types((await other.sync()).account_data?.events)).toContain("org.example.first");
  });

  test("of a room stands with the room", async () => {
    const alice = await world().actor();
    const room = await alice.newRoom();
    const { next_batch: since } = await alice.sync();
    const data = path("user", alice.userId, "rooms", room, "account_data", "org.example.note");
    await expect(alice.call("GET", data)).rejects.toMatchObject(NOT_FOUND);
    await alice.call("PUT", data, { n: 1 });
    expect(await alice.call("GET", data)).toEqual({ n: 1 });
    const tidings = (await alice.sync(since)).rooms?.join?.[room];
    expect(tidings?.account_data.events).toEqual([{ type: "org.example.note", content: { n: 1 } }]);
    expect(tidings?.timeline).toMatchObject({ events: [], limited: false });
  });

  test("is nobody else's", async () => {
    const [alice, bob] = [await world().actor(), await world().actor()];
    const data = path("user", alice.userId, "account_data", "org.example.first");
    await expect(bob.call("GET", data)).rejects.toMatchObject(FORBIDDEN);
    await expect(bob.call("PUT", data, {})).rejects.toMatchObject(FORBIDDEN);
  });
}
