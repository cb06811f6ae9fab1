import { expect, test } from "vitest";
import { type Actor, path, type SyncReply, type World } from "./actors.ts";

export function toDeviceSuite(world: () => World): void {
  const send = (from: Actor, to: Actor, n: number, device = "DEVICE", txnId = `t${n}`) =>
    from.call("PUT", path("sendToDevice", "org.example.note", txnId), {
      messages: { [to.userId]: { [device]: { n } } },
    });
  const numbers = (reply: SyncReply) => reply.to_device?.events.map((event) => event.content.n);

  test("come again with the same since, and are deleted once a newer one is seen", async () => {
    const [from, to] = [await world().actor(), await world().actor()];
    const start = (await to.sync()).next_batch;
    expect(await send(from, to, 1)).toEqual({});
    const first = await to.sync(start);
    expect(first.to_device?.events).toEqual([{ type: "org.example.note", sender: from.userId, content: { n: 1 } }]);
    expect(numbers(await to.sync(start))).toEqual([1]);
    await send(from, to, 2);
    expect(numbers(await to.sync(first.next_batch))).toEqual([2]);
    expect(numbers(await to.sync(start))).toEqual([2]);
  });

  test("are sent once where a transaction id comes twice", async () => {
    const [from, to] = [await world().actor(), await world().actor()];
    await send(from, to, 1, "DEVICE", "same");
    await send(from, to, 2, "DEVICE", "same");
    expect(numbers(await to.sync())).toEqual([1]);
  });

  test("reach all of a user's devices by an asterisk, and unknown ones not at all", async () => {
    const [from, to] = [await world().actor(), await world().actor()];
    const other = await world().login(to.userId, "OTHER");
    await send(from, to, 1, "*");
    await send(from, to, 2, "ELSEWHERE");
    expect(numbers(await to.sync())).toEqual([1]);
    expect(numbers(await other.sync())).toEqual([1]);
  });

  test("come in pages of a hundred, none of them skipped", async () => {
    const [from, to] = [await world().actor(), await world().actor()];
    for (let n = 1; n <= 105; n += 1) await send(from, to, n);
    const first = await to.sync();
    const expected = Array.from({ length: 105 }, (_, index) => index + 1);
    expect(numbers(first)).toEqual(expected.slice(0, 100));
    expect(numbers(await to.sync(first.next_batch))).toEqual(expected.slice(100));
  });

  test("wake a sync that waits", async () => {
    const [from, to] = [await world().actor(), await world().actor()];
    const { next_batch: since } = await to.sync();
    const waiting = to.sync(since, { timeout: "30000" });
    await send(from, to, 1);
    expect(numbers(await waiting)).toEqual([1]);
  });
}
