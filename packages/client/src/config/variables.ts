import { readFileSync } from "node:fs";
import { KeyStoreError, type OnUnavailable } from "@holdfast/key-store-core";

/** Environment variables, such as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Throws `ERR_KEY_STORE_CONFIG`. Messages name variables, never their values: those may be secrets. */
export function misconfigured(message: string): never {
  throw new KeyStoreError("ERR_KEY_STORE_CONFIG", message);
}

/** A variable's value; `undefined` where it is missing or empty, as shells and containers cannot tell the two apart. */
export function text(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === "" ? undefined : value;
}

/** `true`, `false`, `1` or `0`, in any case; `undefined` where it is missing. */
export function flag(env: Environment, name: string): boolean | undefined {
  const value = text(env, name)?.toLowerCase();
  if (value === undefined) return undefined;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  return misconfigured(`${name} must be true or false`);
}

/** One of several words; `undefined` where it is missing. */
export function choice<const T extends string>(env: Environment, name: string, choices: readonly T[]): T | undefined {
  const value = text(env, name);
  if (value === undefined) return undefined;
  const chosen = choices.find((word) => word === value);
  return chosen ?? misconfigured(`${name} must be ${choices.join(", ")}`);
}

/** `KEY_STORE_ON_UNAVAILABLE`; `undefined` where it is missing. */
export function onUnavailableFromEnv(env: Environment): OnUnavailable | undefined {
  return choice(env, "KEY_STORE_ON_UNAVAILABLE", ["fallback", "wait", "fail"]);
}

/** A TCP port; `undefined` where it is missing. */
export function port(env: Environment, name: string): number | undefined {
  const value = text(env, name);
  if (value === undefined) return undefined;
  const number = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  return number >= 1 && number <= 65_535 ? number : misconfigured(`${name} must be a port number`);
}

/**
 * A secret: the variable itself, or the content of the file that `NAME_FILE`
 * names, without the line break at its end. `undefined` where both are missing.
 */
export function secret(env: Environment, name: string): string | undefined {
  const path = text(env, `${name}_FILE`);
  const value = text(env, name);
  if (path === undefined) return value;
  if (value !== undefined) misconfigured(`${name} and ${name}_FILE are both set: keep one`);
  let content: string;
  try {
    content = readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    // Not the error itself: it repeats the path, and what was put there by mistake may be the secret.
    const { code = "unknown error" } = error as NodeJS.ErrnoException;
    return misconfigured(`the file that ${name}_FILE names cannot be read (${code})`);
  }
  return content === "" ? misconfigured(`the file that ${name}_FILE names is empty`) : content;
}
