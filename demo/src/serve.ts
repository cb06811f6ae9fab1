import type { Logger } from "@holdfast/key-store-core";
import type { ChildEvent, Reply, Request } from "./commands.ts";

type Handler = (...parameters: never[]) => Promise<unknown>;

/** In a child: tells the main process something. */
export function tell(event: ChildEvent): void {
  post(event);
}

/** In a child: a logger whose lines the main process prints. */
export const logger: Logger = {
  debug: (message) => tell({ event: "log", level: "debug", message }),
  info: (message) => tell({ event: "log", level: "info", message }),
  warn: (message) => tell({ event: "log", level: "warn", message }),
  error: (message) => tell({ event: "log", level: "error", message }),
};

/** In a child: answers the main process's calls with these commands, until it goes away. */
export function serve<Commands extends { readonly [K in keyof Commands]: Handler }>(commands: Commands): void {
  process.on("message", ({ id, command, parameters }: Request) => {
    // What comes over the channel was typed where it was called.
    const handler: Handler = commands[command as keyof Commands];
    handler(...(parameters as never[])).then(
      (result) => post({ id, result }),
      (error: unknown) => post({ id, failure: String(error) }),
    );
  });
  // A child does not outlive the process that it serves.
  process.on("disconnect", () => process.exit(0));
}

function post(reply: Reply): void {
  // Where the main process has gone there is nobody to tell, and this one is about to end.
  process.send?.(reply, undefined, undefined, () => {});
}
