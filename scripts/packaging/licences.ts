import type { Manifest } from "./published.ts";

/** Licences that ask for nothing but their notice to be kept. */
const ALLOWED = ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "ISC", "MIT", "Unlicense"];

/** The licence of a package as an SPDX expression; `undefined` where it names none. */
function licenceOf({ license, licenses }: Manifest): string | undefined {
  if (typeof license === "string") return license;
  return license?.type ?? licenses?.map(({ type }) => type).join(" OR ");
}

/** Whether an expression allows one of the licences above, for every part that is needed. */
function isAllowed(expression: string): boolean {
  const alternatives = expression.replace(/^\((.*)\)$/, "$1").split(" OR ");
  return alternatives.some((one) => one.split(" AND ").every((part) => ALLOWED.includes(part.trim())));
}

/** Which dependencies have a licence that is not among those allowed. */
export function licenceProblems(closure: readonly Manifest[]): string[] {
  return closure.flatMap((manifest) => {
    const licence = licenceOf(manifest);
    if (licence !== undefined && isAllowed(licence)) return [];
    return [`it brings ${manifest.name}@${manifest.version} under ${licence ?? "no licence that it names"}`];
  });
}

/** The document that lists what an installation of the packages brings, and under which licences. */
export function licenceList(closures: ReadonlyMap<string, readonly Manifest[]>): string {
  const users = new Map<string, Set<string>>();
  for (const [user, closure] of closures) {
    for (const manifest of closure) {
      const forOnePlatform = manifest.os !== undefined || manifest.cpu !== undefined;
      if (forOnePlatform || manifest.name.startsWith("@holdfast/")) continue;
      const row = `| ${manifest.name} | ${licenceOf(manifest)} |`;
      users.set(row, (users.get(row) ?? new Set()).add(user.replace("@holdfast/", "")));
    }
  }
  const rows = [...users].map(([row, names]) => `${row} ${[...names].join(", ")} |`).sort();
  return `${[
    "# Licences",
    "",
    "Holdfast is under the Apache License 2.0. What an installation of its packages brings beside them, builds of these for one platform left out:",
    "",
    "| package | licence | comes with |",
    "|---|---|---|",
    ...rows,
    "",
    "`node scripts/check-packages.ts --write` writes this list; `pnpm check` compares it with what is installed, and fails where a licence asks for more than its notice to be kept.",
  ].join("\n")}\n`;
}
