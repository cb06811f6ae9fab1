import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A TCP proxy in front of a server, which can lose what the server answers. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** From the next request on that holds `marker`, nothing comes back; then both ends are cut. */
  cutAfter(marker: string): void;
  /** Resolves when that has happened. */
  readonly cut: Promise<void>;
}

/** Passes everything on to a port of 127.0.0.1, until it is told otherwise. */
export async function startProxy(target: number): Promise<Proxy> {
  let marker: string | undefined;
  const cut = Promise.withResolvers<void>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    let isCutting = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
    }
    client.on("data", (request) => {
      if (marker !== undefined && request.includes(marker)) {
        isCutting = true;
        marker = undefined;
      }
      upstream.write(request);
    });
    upstream.on("data", (answer) => {
      if (!isCutting) {
        client.write(answer);
        return;
      }
      // The server has answered: what it was asked to do is done.
      client.destroy();
      cut.resolve();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return {
    port: address.port,
    cut: cut.promise,
    cutAfter(text) {
      marker = text;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
