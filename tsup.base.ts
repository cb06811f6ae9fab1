import type { Options } from "tsup";
import ts from "typescript";

/**
 * The build of every package: ES modules for Node.js 22 and later, and their
 * declarations. The code stays as readable as it was written, so that a stack
 * trace leads somewhere; its comments are left to the declarations, where
 * editors look for them, and source maps, larger than all the rest, are left out.
 */
export function library(entry: Record<string, string>): Options {
  return {
    entry,
    format: "esm",
    target: "node22",
    platform: "node",
    dts: { compilerOptions: { allowImportingTsExtensions: true, rewriteRelativeImportExtensions: false } },
    sourcemap: false,
    clean: true,
    treeshake: true,
    plugins: [
      {
        name: "without-comments",
        renderChunk: (code, { path }) => (path.endsWith(".js") ? { code: withoutComments(code) } : undefined),
      },
    ],
  };
}

function withoutComments(code: string): string {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { removeComments: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  });
  return outputText;
}
