import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as it arrived. */
export interface Received {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What becomes of a request: an answer, a connection that closes without one, or nothing at all. */
export type Answer =
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly body: string | Uint8Array | object }
  | { readonly cutAfter: string }
  | "hang up"
  | "silence";

/** A real HTTP server on the loopback address, which keeps what it received. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly received: readonly Received[];
}

export async function startServer(handle: (request: Received) => Answer | Promise<Answer>): Promise<TestServer> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = "", url: path = "", headers } = request;
    const one = { method, path, headers, body: Buffer.concat(chunks) };
    received.push(one);
    const answer = await handle(one);
    if (answer === "hang up") {
      request.socket.destroy();
      return;
    }
    if (answer === "silence") return;
    if ("cutAfter" in answer) {
      response.writeHead(200, { "content-length": answer.cutAfter.length + 1 });
      response.write(answer.cutAfter, () => request.socket.destroy());
      return;
    }
    const { status = 200, headers: more = {}, body } = answer;
    const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    response.writeHead(status, more).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A server that gives these answers in turn, and the last one for ever. */
export function startScript(...answers: readonly Answer[]): Promise<TestServer> {
  let at = 0;
  return startServer(() => answers[Math.min(at++, answers.length - 1)] ?? "hang up");
}
