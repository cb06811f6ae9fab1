/** A property of the global object, as the tests see it. */
function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

/** What the harness is told when an exception was not caught: `error` events of the window. */
type ErrorListener = (event: Event) => void;

/**
 * Gives this process as much of a window as the tests and their harness look
 * for. Nothing here stands in for IndexedDB.
 */
export function makeWindow(uncaught: (error: unknown) => void): void {
  define("self", globalThis);
  define("window", globalThis);
  // Without it the harness takes its plain way of reporting.
  Reflect.deleteProperty(globalThis, "navigator");
  define("location", { pathname: "/", search: "", href: "http://localhost/", toString: () => "http://localhost/" });
  define("Window", class Window {});
  // The tests post values to find out whether they can be cloned.
  define("postMessage", (value: unknown) => void structuredClone(value));
  define("FileReader", FileReader);
  // Some files are cut into parts; here all parts are run.
  define("subsetTest", (test: (...args: unknown[]) => unknown, ...args: unknown[]) => test(...args));
  for (const name of ABSENT) define(name, absent(name));
  reportErrors(uncaught);
}

/** What the tests look for in a document. To be made after the harness was loaded, which would show its results there. */
export function makeDocument(): void {
  define("document", { getElementsByTagName: () => [{}], createElement: () => ({ files: [new File([], "foo.txt")] }) });
}

/** Types of the platform that Node.js does not have, and that one file needs to be loaded: the tests of them fail. */
const ABSENT = [
  "DOMMatrix",
  "DOMMatrixReadOnly",
  "DOMPoint",
  "DOMPointReadOnly",
  "DOMRect",
  "DOMRectReadOnly",
  "ImageData",
];

function absent(name: string): unknown {
  const classes = {
    [name]: class {
      readonly data = [];
    },
  };
  return classes[name];
}

/** As much of https://www.w3.org/TR/FileAPI/#APIASynch as the tests of blobs use. */
class FileReader {
  result: unknown;
  onload: (() => void) | undefined;
  onloadend: (() => void) | undefined;

  async readAsArrayBuffer(blob: Blob): Promise<void> {
    this.#done(await blob.arrayBuffer());
  }

  async readAsText(blob: Blob): Promise<void> {
    this.#done(await blob.text());
  }

  #done(result: unknown): void {
    this.result = result;
    this.onload?.();
    this.onloadend?.();
  }
}

/** Tells uncaught exceptions as a window does; what nobody prevents is handed on. */
function reportErrors(uncaught: (error: unknown) => void): void {
  let listeners: ErrorListener[] = [];
  define("addEventListener", (type: string, listener: ErrorListener) => {
    if (type === "error") listeners.push(listener);
  });
  define("removeEventListener", (_type: string, listener: ErrorListener) => {
    listeners = listeners.filter((each) => each !== listener);
  });
  process.on("uncaughtException", (error: unknown) => {
    const event = new Event("error", { cancelable: true });
    const message = error instanceof Error ? error.message : String(error);
    Object.assign(event, { error, message });
    for (const listener of listeners) listener(event);
    const { onerror } = globalThis as { onerror?: (...args: unknown[]) => unknown };
    onerror?.(message, "", 0, 0, error);
    if (!event.defaultPrevented) uncaught(error);
  });
  process.on("unhandledRejection", uncaught);
}
