import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, it } from "vitest";
import { startTcpProxy, type TcpProxy } from "../src/index.ts";

/** A server that answers each byte with the same byte, and remembers all. */
async function startEcho() {
  const sockets: Socket[] = [];
  let heard = "";
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      heard += chunk;
      socket.write(chunk);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return {
    port: address.port,
    sockets,
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A client of the proxy: what it has received, and how its connection ended. */
async function client(proxy: TcpProxy) {
  const socket = connect(proxy.port, proxy.host);
  let received = "";
  let ending = "";
  socket.on("data", (chunk) => {
    received += chunk;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    ending = error.code ?? "error";
  });
  const closed = once(socket, "close").then(
    () => ending,
    () => ending,
  );
  await once(socket, "connect");
  return {
    socket,
    closed,
    received: () => received,
    async hears(text: string) {
      await expect.poll(() => received).toBe(text);
    },
  };
}

it("passes bytes both ways, counts them, and closes one end with the other", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const one = await client(proxy);
  one.socket.write("hello");
  await one.hears("hello");
  expect({ ...proxy.traffic, open: proxy.open, accepted: proxy.accepted }).toEqual({
    toServer: 5,
    toClient: 5,
    open: 1,
    accepted: 1,
  });
  one.socket.end("bye");
  expect(await one.closed).toBe("");
  expect(one.received()).toBe("hellobye");
  await expect.poll(() => proxy.open).toBe(0);
});

it("cuts at the n-th byte towards the server, and not one byte more arrives", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo, faults: [{ direction: "toServer", afterBytes: 3 }] });
  const one = await client(proxy);
  one.socket.write("abcdef");
  await one.closed;
  await expect.poll(() => echo.heard()).toBe("abc");
  expect(proxy.traffic.toServer).toBe(3);
  const two = await client(proxy);
  two.socket.write("whole");
  await two.hears("whole");
});

it("cuts at the n-th byte towards the client, of one connection that is named", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const happened = proxy.arm({ direction: "toClient", afterBytes: 2, connection: 2 });
  const one = await client(proxy);
  one.socket.write("abcdef");
  await one.hears("abcdef");
  const two = await client(proxy);
  two.socket.write("abcdef");
  await happened;
  await two.closed;
  expect(two.received()).toBe("ab");
  expect(echo.heard()).toBe("abcdefabcdef");
});

it("does the earlier of two faults first, and leaves the other its bytes", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const later = proxy.arm({ direction: "toServer", afterBytes: 5 });
  const earlier = proxy.arm({ direction: "toServer", afterBytes: 2 });
  const one = await client(proxy);
  one.socket.write("abcdefgh");
  await earlier;
  await one.closed;
  await expect.poll(() => echo.heard()).toBe("ab");
  const two = await client(proxy);
  two.socket.write("12345678");
  await later;
  await two.closed;
  await expect.poll(() => echo.heard()).toBe("ab123");
});

it("finds a marker that comes in pieces, and loses the answer to it", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const happened = proxy.arm({ direction: "toServer", marker: "MARK", damage: "lose-answer" });
  const one = await client(proxy);
  one.socket.write("xxMA");
  await one.hears("xxMA");
  one.socket.write("RKyy");
  await happened;
  await one.closed;
  expect(one.received()).toBe("xxMA");
  expect(echo.heard()).toBe("xxMARKyy");
});

it("resets connections: by a fault, and all of them at once", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const one = await client(proxy);
  const happened = proxy.arm({ direction: "toServer", afterBytes: 1, damage: "reset" });
  one.socket.write("abc");
  await happened;
  expect(await one.closed).toBe("ECONNRESET");
  const two = await client(proxy);
  two.socket.write("x");
  await two.hears("x");
  proxy.severAll("reset");
  expect(await two.closed).toBe("ECONNRESET");
  await expect.poll(() => proxy.open).toBe(0);
});

it("keeps still in silence, and delivers afterwards what was sent meanwhile", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const one = await client(proxy);
  await proxy.setMode("silence");
  one.socket.write("abc");
  const two = await client(proxy);
  two.socket.write("def");
  await expect.poll(() => proxy.accepted).toBe(2);
  expect(echo.heard()).toBe("");
  await proxy.setMode("pass");
  await one.hears("abc");
  await two.hears("def");
});

it("tells the server nothing of a client that leaves in silence, until the silence ends", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const one = await client(proxy);
  one.socket.write("a");
  await one.hears("a");
  await proxy.setMode("silence");
  one.socket.resetAndDestroy();
  await one.closed;
  const [server] = echo.sockets;
  expect([server?.destroyed, proxy.open]).toEqual([false, 1]);
  await proxy.setMode("pass");
  await expect.poll(() => proxy.open).toBe(0);
});

it("refuses connections, goes on with those that are open, and listens again on the same port", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo });
  const { port } = proxy;
  const one = await client(proxy);
  await proxy.setMode("refuse");
  await expect(client(proxy)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  one.socket.write("still");
  await one.hears("still");
  await proxy.setMode("pass");
  expect(proxy.port).toBe(port);
  const two = await client(proxy);
  two.socket.write("again");
  await two.hears("again");
});

it("holds chunks back, in order", async () => {
  await using echo = await startEcho();
  await using proxy = await startTcpProxy({ target: echo, delayMs: 30 });
  const one = await client(proxy);
  const began = performance.now();
  for (const part of ["a", "b", "c"]) one.socket.write(part);
  await one.hears("abc");
  expect(performance.now() - began).toBeGreaterThanOrEqual(60);
});
