import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const ROOT: string = join(import.meta.dirname, "../..");

/** What the checks read of a `package.json`. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly license?: string | { readonly type: string };
  readonly licenses?: readonly { readonly type: string }[];
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** A package of the workspace that is published. */
export interface Published {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** A package as it would go to a registry. */
export interface Packed {
  readonly tarball: string;
  /** The size of the tarball in bytes. */
  readonly size: number;
  /** The files in it, relative to the package. */
  readonly files: readonly string[];
}

/** Reads the `package.json` of a folder. */
export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** Every package of the workspace that is not private, by name. */
export function publishedPackages(): Published[] {
  return globSync("packages/*/package.json", { cwd: ROOT })
    .map((file) => dirname(join(ROOT, file)))
    .map((folder) => ({ folder, manifest: manifestOf(folder) }))
    .filter(({ manifest }) => !manifest.private)
    .sort((a, b) => (a.manifest.name < b.manifest.name ? -1 : 1));
}

/** Packs what was built; nothing is built again. */
export function pack({ folder }: Published, destination: string): Packed {
  const args = ["pack", "--json", "--config.ignore-scripts=true", "--pack-destination", destination];
  const { filename, size, files } = JSON.parse(execFileSync("pnpm", args, { cwd: folder, encoding: "utf8" })) as {
    filename: string;
    size: number;
    files: { path: string }[];
  };
  return { tarball: filename, size, files: files.map(({ path }) => path) };
}
