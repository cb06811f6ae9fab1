import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Device } from "../state/accounts.ts";
import type { AuthenticatedCall, Call, Middleware, Outcome, Reply } from "./call.ts";
import { isObject, type JsonObject } from "./json.ts";
import { MatrixError, Reauthenticate } from "./matrix-error.ts";
import { ContentAnswer, type Route, Router } from "./router.ts";

type Owner = Device | "expired" | undefined;

/** What the server asks of the rest. */
export interface ServerOptions {
  readonly routes: readonly Route[];
  /** Whose token this is; `"expired"` for one that was good, `undefined` for one that nobody has. */
  readonly authenticate: (token: string) => Owner | Promise<Owner>;
  /** Handles what no route fits. Default: 404 or 405 `M_UNRECOGNIZED`. */
  readonly otherwise?: Route["handle"] | undefined;
  /** Innermost first; read anew for every call. */
  readonly middleware: ReadonlySet<Middleware>;
}

/** HTTP on the loopback address: reads calls, runs them through the middleware, writes replies. */
export class HttpServer {
  readonly #options: ServerOptions;
  readonly #router: Router;
  readonly #server: Server;
  readonly #closing = new AbortController();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#router = new Router(options.routes);
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Listens on 127.0.0.1; 0 is any free port. Answers with the address to call. */
  async listen(port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    const address = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${address.port}`;
  }

  /** Ends every connection, waiting ones too; goes on listening. */
  cutConnections(): void {
    this.#server.closeAllConnections();
  }

  /** Ends every connection, waiting ones too, and listens no more. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort();
    });
    const signal = AbortSignal.any([gone.signal, this.#closing.signal]);
    const reply = await this.#answer(request, signal).catch(replyOf);
    if (reply === "hang up") {
      request.socket.destroy();
      return;
    }
    if (response.destroyed) return;
    const content = reply.content ?? { type: "application/json", bytes: Buffer.from(JSON.stringify(reply.body)) };
    response.writeHead(reply.status, {
      "content-type": content.type,
      "content-length": content.bytes.length,
      ...reply.headers,
    });
    response.end(content.bytes);
  }

  async #answer(request: IncomingMessage, signal: AbortSignal): Promise<Outcome> {
    const bytes = await readBytes(request);
    const url = new URL(request.url ?? "/", "http://localhost");
    const method = request.method ?? "GET";
    const { route, parameters } = this.#route(method, url.pathname);
    const token = tokenOf(request);
    const owner = token === undefined ? undefined : await this.#options.authenticate(token);
    const call: Call = {
      method,
      route: route.pattern,
      path: url.pathname,
      parameters,
      query: url.searchParams,
      body: route.takes === "json" ? parse(bytes) : {},
      content: { type: request.headers["content-type"] ?? "", bytes },
      token,
      device: owner === "expired" ? undefined : owner,
      signal,
    };
    let next = (): Promise<Outcome> => handle(route, call, token, owner).catch(replyOf);
    for (const middleware of this.#options.middleware) {
      const inner = next;
      next = () => middleware(call, inner);
    }
    return next();
  }

  #route(method: string, path: string): { readonly route: Route; readonly parameters: Record<string, string> } {
    const found = this.#router.find(method, path);
    if (found.found === "route") return found;
    const { otherwise } = this.#options;
    if (otherwise !== undefined) {
      return { route: { method, pattern: path, access: "open", takes: "bytes", handle: otherwise }, parameters: {} };
    }
    if (found.found === "nothing") throw new MatrixError(404, "M_UNRECOGNIZED", "there is no such endpoint");
    throw new MatrixError(405, "M_UNRECOGNIZED", "not with this method");
  }
}

async function handle(route: Route, call: Call, token: string | undefined, owner: Owner): Promise<Reply> {
  if (route.access === "device") {
    if (token === undefined) throw new MatrixError(401, "M_MISSING_TOKEN", "an access token is needed");
    if (owner === "expired") {
      throw new MatrixError(401, "M_UNKNOWN_TOKEN", "this access token has expired", { soft_logout: true });
    }
    if (owner === undefined) {
      throw new MatrixError(401, "M_UNKNOWN_TOKEN", "this access token is not known", { soft_logout: false });
    }
  }
  // An open route's handler does not look at the device: its type does not have one.
  const answer = await route.handle(call as AuthenticatedCall);
  if (answer instanceof ContentAnswer) return answer;
  return { status: 200, body: answer };
}

function replyOf(error: unknown): Reply {
  if (error instanceof Reauthenticate) return { status: 401, body: error.body };
  if (error instanceof MatrixError) {
    return { status: error.status, body: { errcode: error.errcode, error: error.message, ...error.details } };
  }
  return { status: 500, body: { errcode: "M_UNKNOWN", error: String(error) } };
}

function tokenOf(request: IncomingMessage): string | undefined {
  return /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
}

async function readBytes(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function parse(bytes: Uint8Array): JsonObject {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch {
    throw new MatrixError(400, "M_NOT_JSON", "the body is not JSON");
  }
  if (!isObject(value)) throw new MatrixError(400, "M_BAD_JSON", "the body must be an object");
  return value;
}
