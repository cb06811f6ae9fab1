/** Prototypes of this library's own interfaces: none of them can be cloned. */
const ours = new WeakSet<object>();

/** Says that objects with this prototype are platform objects. */
export function registerPlatformPrototype(prototype: object): void {
  ours.add(prototype);
}

/** Interfaces of the platform; looked up by name, because Node loads some of them when they are first touched. */
const INTERFACES: ReadonlySet<string> = new Set([
  "AbortController",
  "Blob",
  "BroadcastChannel",
  "CompressionStream",
  "Crypto",
  "CryptoKey",
  "DOMException",
  "DecompressionStream",
  "Event",
  "EventTarget",
  "FormData",
  "Headers",
  "MessageChannel",
  "Performance",
  "PerformanceEntry",
  "ReadableStream",
  "Request",
  "Response",
  "SubtleCrypto",
  "TextDecoder",
  "TextEncoder",
  "TransformStream",
  "URL",
  "URLSearchParams",
  "WebSocket",
  "WritableStream",
]);

/** By what Node.js knows its own objects that it can post elsewhere: X509Certificate, histograms and more. */
const POSTED: PropertyKey | undefined = Object.getOwnPropertySymbols(Blob.prototype).find(
  (symbol) => symbol.description === "messaging_clone_symbol",
);

/** Whether an object implements an interface of the platform, and so is more than its properties. */
export function isPlatformObject(value: object): boolean {
  if (POSTED !== undefined && POSTED in value) return true;
  for (let at: unknown = Object.getPrototypeOf(value); at !== null; at = Object.getPrototypeOf(at)) {
    const prototype = at as object;
    if (prototype === Object.prototype) return false;
    if (ours.has(prototype)) return true;
    const made: unknown = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
    if (typeof made !== "function" || !INTERFACES.has(made.name)) continue;
    if ((globalThis as Record<string, unknown>)[made.name] === made) return true;
  }
  return false;
}
