import { readFile } from "node:fs/promises";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { filterProblems, problemKindInfo } from "@arethetypeswrong/core/problems";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import type { Packed } from "./published.ts";

/** What publint has to say about a package, suggestions included. */
export async function publintProblems({ tarball }: Packed): Promise<string[]> {
  const data = await readFile(tarball);
  const { messages, pkg } = await publint({
    level: "suggestion",
    strict: true,
    pack: { tarball: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) },
  });
  return messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`);
}

/**
 * What is wrong with the types of a package, for those who can use it: the
 * packages are ES modules, which `require` takes since Node.js 22.12, so the
 * ways in which older ones resolve are left out.
 */
export async function typeProblems({ tarball }: Packed): Promise<string[]> {
  const analysis = await checkPackage(createPackageFromTarballData(await readFile(tarball)));
  if (!analysis.types) return ["it has no types"];
  const problems = (["node16-esm", "bundler"] as const).flatMap((resolutionKind) =>
    filterProblems(analysis, { resolutionKind }),
  );
  return problems.map((problem) => `types: ${problemKindInfo[problem.kind].title} (${JSON.stringify(problem)})`);
}
