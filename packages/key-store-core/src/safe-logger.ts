import type { KeyStoreErrorCode } from "./errors.ts";
import { type Logger, silentLogger } from "./logger.ts";
import { config } from "./validate.ts";

/**
 * A logger that never throws, over the one of an option, or over none.
 *
 * @throws `ERR_KEY_STORE_CONFIG` for what is not a logger
 */
export function safeLogger(logger: Logger | undefined = silentLogger): Logger {
  const level = (name: keyof Logger) => {
    if (typeof logger?.[name] !== "function") config("logger", "{ debug, info, warn, error }");
    return (message: string): void => {
      try {
        logger[name](message);
      } catch {}
    };
  };
  return Object.freeze({ debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") });
}

/** The logger that a key store was made with: whoever has the same one need not say again what the store has said. */
export const loggerOf = new WeakMap<object, Logger | undefined>();

/** Says that a store cannot be used. */
export function logUnavailable(logger: Logger, store: string, code: KeyStoreErrorCode, reason: string): void {
  // Absence is an everyday thing; a store that is there and cannot be used needs somebody to act.
  const level = code === "ERR_KEY_STORE_UNAVAILABLE" ? "warn" : "error";
  logger[level](`${store} key store unavailable: ${reason}`);
}
