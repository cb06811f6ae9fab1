import type { Logger } from "@holdfast/key-store-core";
import { LoggerLevel, Tracing } from "@matrix-org/matrix-sdk-crypto-wasm";

const LEVELS = ["debug", "info", "warn", "error"] as const;

/** Lets the crypto engine, which knows only of the console, tell a logger what it does with keys and messages. */
export function logEngine(logger: Logger): void {
  for (const level of LEVELS) console[level] = (...words) => logger[level](`engine: ${lineOf(words)}`);
  new Tracing(LoggerLevel.Info).turnOn();
}

/** What the engine says, on one line and without the colours that it asks a browser's console for. */
function lineOf([text, ...colours]: readonly unknown[]): string {
  const plain = colours.reduce<string>((line) => line.replace("%c", ""), String(text));
  return plain.replaceAll(/\s*\n\s*/g, " ");
}
