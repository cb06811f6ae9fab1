import type { AuthenticatedCall, Call, Content } from "./call.ts";
import type { JsonObject } from "./json.ts";

/** What a handler answers where it is no JSON object, or not with 200. */
export class ContentAnswer {
  readonly content: Content;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;
  /** What the content says, for who looks at replies and not at bytes. */
  readonly body: JsonObject;

  constructor(content: Content, headers: Readonly<Record<string, string>> = {}, status = 200, body: JsonObject = {}) {
    this.content = content;
    this.headers = headers;
    this.status = status;
    this.body = body;
  }
}

/** JSON that is no object: one endpoint answers with a list. */
export function jsonContent(value: unknown): ContentAnswer {
  return new ContentAnswer({ type: "application/json", bytes: Buffer.from(JSON.stringify(value)) });
}

type Answer = JsonObject | ContentAnswer | Promise<JsonObject | ContentAnswer>;

/** A method, a pattern and what to do about it. */
export interface Route {
  readonly method: string;
  /** Segments, where `{name}` stands for any one of them and a last `{name?}` for one that may be missing. */
  readonly pattern: string;
  readonly access: "open" | "device";
  /** What the request's body is: a JSON object, or bytes that nobody looks into. */
  readonly takes: "json" | "bytes";
  readonly handle: (call: AuthenticatedCall) => Answer;
}

/** A route that anybody may call. */
export function open(method: string, pattern: string, handle: (call: Call) => Answer): Route {
  return { method, pattern, access: "open", takes: "json", handle };
}

/** A route that needs an access token. */
export function authenticated(method: string, pattern: string, handle: (call: AuthenticatedCall) => Answer): Route {
  return { method, pattern, access: "device", takes: "json", handle };
}

/** A route that needs an access token, and takes bytes. */
export function upload(method: string, pattern: string, handle: (call: AuthenticatedCall) => Answer): Route {
  return { method, pattern, access: "device", takes: "bytes", handle };
}

/** What a router found: the route with its parameters, or why there is none. */
export type Found =
  | { readonly found: "route"; readonly route: Route; readonly parameters: Record<string, string> }
  | { readonly found: "other methods" }
  | { readonly found: "nothing" };

/** Finds routes by method and path. */
export class Router {
  readonly #routes: readonly { readonly route: Route; readonly segments: readonly string[] }[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.pattern.split("/") }));
  }

  /** The first route that fits; `path` is percent-encoded, the parameters are not. */
  find(method: string, path: string): Found {
    const actual = path.split("/");
    let otherMethods = false;
    for (const { route, segments } of this.#routes) {
      const parameters = match(segments, actual);
      if (parameters === undefined) continue;
      if (route.method === method) return { found: "route", route, parameters };
      otherMethods = true;
    }
    return { found: otherMethods ? "other methods" : "nothing" };
  }
}

function match(pattern: readonly string[], actual: readonly string[]): Record<string, string> | undefined {
  const optional = pattern.at(-1)?.endsWith("?}") === true;
  if (actual.length !== pattern.length && !(optional && actual.length === pattern.length - 1)) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, segment] of pattern.entries()) {
    const value = actual[index] ?? "";
    if (segment.startsWith("{")) {
      const name = segment.slice(1, segment.endsWith("?}") ? -2 : -1);
      const decoded = decode(value);
      if (decoded === undefined) return undefined;
      parameters[name] = decoded;
    } else if (segment !== value) {
      return undefined;
    }
  }
  return parameters;
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
