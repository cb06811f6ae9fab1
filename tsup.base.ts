import type { Options } from "tsup";

/** The build of every package: ES modules for Node.js 22 and later, with declarations and source maps. */
export function library(entry: Record<string, string>): Options {
  return {
    entry,
    format: "esm",
    target: "node22",
    platform: "node",
    dts: { compilerOptions: { allowImportingTsExtensions: true, rewriteRelativeImportExtensions: false } },
    sourcemap: true,
    clean: true,
    treeshake: true,
  };
}
