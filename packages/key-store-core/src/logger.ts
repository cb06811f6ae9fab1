/**
 * Where log lines go. `console` and a `pino` logger both fit as they are. What
 * it throws is swallowed: nothing fails because it could not be logged.
 */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

const nothing = (): void => {};

/** A logger that says nothing: the default of every library class here. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
