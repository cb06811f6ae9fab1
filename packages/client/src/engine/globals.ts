import { install, uninstall } from "@holdfast/indexeddb";

let users = 0;

/**
 * Keeps the IndexedDB globals in place for as long as an engine runs: the
 * engine's WebAssembly module looks them up on `globalThis`, again and again.
 */
export function withGlobals(): { release(): void } {
  if (users === 0) install();
  users += 1;
  let released = false;
  return {
    release() {
      if (released) return;
      released = true;
      users -= 1;
      if (users === 0) uninstall();
    },
  };
}
