import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { command } from "./command.ts";

/** A registry on 127.0.0.1 that takes `@holdfast` packages from anybody, and has all others from upstream. */
export interface Registry extends AsyncDisposable {
  /** Its address, with a slash at the end. */
  readonly url: string;
  /** What an `.npmrc` says of it. */
  readonly npmrc: string;
}

/** Starts a registry that keeps its files in a directory. */
export async function startRegistry(directory: string): Promise<Registry> {
  const port = await freePort();
  const upstream = (await command("npm", ["config", "get", "registry"], { cwd: tmpdir() })).trim();
  const config = join(directory, "registry.json");
  // JSON is YAML.
  await writeFile(config, JSON.stringify(settings(directory, upstream)));
  const manifest = createRequire(import.meta.url).resolve("verdaccio/package.json");
  const server = spawn(
    process.execPath,
    [join(dirname(manifest), "bin/verdaccio"), "--config", config, "--listen", `127.0.0.1:${port}`],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const said: string[] = [];
  for await (const line of createInterface(server.stdout)) {
    said.push(line);
    if (line.includes("http address")) break;
  }
  server.stdout.resume();
  if (server.exitCode !== null) throw new Error(`the registry did not start:\n${said.join("\n")}`);
  return {
    url: `http://127.0.0.1:${port}/`,
    // Publishing asks for a token; here anyone will do.
    npmrc: `registry=http://127.0.0.1:${port}/\n//127.0.0.1:${port}/:_authToken=anybody\n`,
    async [Symbol.asyncDispose]() {
      const exited = once(server, "exit");
      server.kill();
      await exited;
    },
  };
}

function settings(directory: string, upstream: string): object {
  return {
    storage: join(directory, "registry"),
    auth: { htpasswd: { file: join(directory, "htpasswd") } },
    uplinks: { upstream: { url: upstream, cache: true, timeout: "60s" } },
    packages: {
      "@holdfast/*": { access: "$all", publish: "$all" },
      "**": { access: "$all", proxy: "upstream" },
    },
    log: { type: "stdout", format: "pretty", level: "warn", colors: false },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}
