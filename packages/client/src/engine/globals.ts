import { type Installation, installMounts } from "@holdfast/indexeddb";

let users = 0;
let installation: Installation | undefined;

/** The hold of one engine on the IndexedDB globals. */
export interface Globals {
  /** Whether they are in place. */
  readonly areInForce: boolean;
  /** Puts them in place again where other code has put its own over them. */
  ensure(): void;
  /** Gives the hold back: with the last one they are taken out. */
  release(): void;
}

/**
 * Keeps the IndexedDB globals in place for as long as an engine runs: the
 * engine's WebAssembly module looks them up on `globalThis`, `indexedDB` while
 * it is opened and the interfaces in each of its calls.
 */
export function withGlobals(): Globals {
  users += 1;
  ensureGlobals();
  let released = false;
  return {
    get areInForce() {
      return installation?.isInForce === true;
    },
    ensure: ensureGlobals,
    release() {
      if (released) return;
      released = true;
      users -= 1;
      if (users > 0) return;
      installation?.uninstall();
      installation = undefined;
    },
  };
}

function ensureGlobals(): void {
  if (installation?.isInForce) return;
  // Moved to the top: there is never more than one.
  installation?.uninstall();
  installation = installMounts();
}
