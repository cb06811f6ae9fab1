import { writeSync } from "node:fs";

/** One line of JSON to the parent, on a pipe of its own and out before this returns: what was said before a kill is heard after it. */
export function say(message: unknown): void {
  writeSync(3, `${JSON.stringify(message)}\n`);
}
