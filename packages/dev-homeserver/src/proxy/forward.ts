import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import type { Call } from "../http/call.ts";
import { isObject, type JsonObject } from "../http/json.ts";
import { ContentAnswer } from "../http/router.ts";

/** What of an answer is passed on besides its content. */
const PASSED_ON = ["content-disposition", "retry-after"];

/**
 * Lets another server handle a call.
 *
 * @throws Error where that does not answer, or the caller has gone away
 */
export async function forward(target: string, call: Call): Promise<ContentAnswer> {
  const { method, path, query, token, content, signal } = call;
  const url = new URL(`${target}${path}${query.size === 0 ? "" : `?${query}`}`);
  const send = url.protocol === "https:" ? secureRequest : plainRequest;
  const headers = {
    "content-length": content.bytes.length,
    ...(content.type === "" ? {} : { "content-type": content.type }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  // Each call has its own connection: a kept one may be closed by the other side just as it is used.
  const outgoing = send(url, { method, headers, signal, agent: false });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("error", reject).once("response", resolve).end(content.bytes);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const answered = { type: response.headers["content-type"] ?? "", bytes: Buffer.concat(chunks) };
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = response.headers[name];
    return typeof value === "string" ? [[name, value] as const] : [];
  });
  return new ContentAnswer(
    answered,
    Object.fromEntries(passedOn),
    response.statusCode ?? 502,
    answered.type.startsWith("application/json") ? objectIn(answered.bytes) : {},
  );
}

function objectIn(bytes: Buffer): JsonObject {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isObject(value) ? value : {};
  } catch {
    // What is no JSON is passed on as it is.
    return {};
  }
}
