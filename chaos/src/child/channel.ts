import type { Told } from "../protocol.ts";

/** Tells the parent; what it is told when this returns is in the channel, whatever becomes of this process. */
export function tell(told: Told): void {
  if (process.connected) process.send?.(told);
}

/** The end, at once: nothing is tidied up and nobody is told. */
export function die(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("a process that was killed goes on");
}
