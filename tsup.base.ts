import { minify } from "terser";
import type { Options } from "tsup";
import ts from "typescript";

/**
 * The build of every package: ES modules for Node.js 22 and later, and their
 * declarations. The code goes without what weighs and helps nobody at run
 * time: comments, which editors look for in the declarations, white space,
 * names of variables, and source maps, larger than all the rest. Functions,
 * classes and members keep their names and lines are bounded, so that a stack
 * trace leads somewhere.
 */
export function library(entry: Record<string, string>): Options {
  return {
    entry,
    format: "esm",
    target: "node22",
    platform: "node",
    dts: {
      compilerOptions: {
        allowImportingTsExtensions: true,
        rewriteRelativeImportExtensions: false,
        stripInternal: true,
      },
    },
    sourcemap: false,
    clean: true,
    treeshake: true,
    plugins: [
      {
        name: "small",
        renderChunk: async (code, { path }) => (path.endsWith(".js") ? { code: await small(code) } : undefined),
      },
    ],
  };
}

/** Stands for the `#` of a private name, which would be shortened too; no source has it. */
const PRIVATE = "$private$";

async function small(code: string): Promise<string> {
  const { text, named } = prepared(code);
  const { code: shortened = "" } = await minify(text, {
    module: true,
    compress: false,
    mangle: { keep_fnames: true, keep_classnames: true, reserved: named },
    format: { comments: false, max_line_len: 1_000 },
  });
  return shortened.replaceAll(PRIVATE, "#");
}

/** Code whose private names are not private, and the variables that functions and classes have their names from. */
function prepared(code: string): { readonly text: string; readonly named: string[] } {
  const parts: string[] = [];
  const named: string[] = [];
  let end = 0;
  const visit = (node: ts.Node): void => {
    if (ts.isPrivateIdentifier(node)) {
      parts.push(code.slice(end, node.getStart(source)), PRIVATE, node.text.slice(1));
      end = node.end;
    } else if (ts.isVariableDeclaration(node) && node.initializer && isUnnamed(node.initializer)) {
      named.push(node.name.getText(source));
    }
    ts.forEachChild(node, visit);
  };
  const source = ts.createSourceFile("chunk.js", code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  visit(source);
  return { text: parts.join("") + code.slice(end), named };
}

function isUnnamed(node: ts.Expression): boolean {
  return ts.isClassExpression(node) || ts.isFunctionExpression(node) || ts.isArrowFunction(node);
}
