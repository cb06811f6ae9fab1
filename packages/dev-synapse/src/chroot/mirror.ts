import { readFile } from "node:fs/promises";
import { mustRun } from "../commands.ts";

/**
 * The Debian mirror that this machine installs from, by apt's own account of
 * its sources, whatever form they are written in.
 *
 * @throws Error where apt names none
 */
export async function debianMirror(): Promise<string> {
  const format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
  const targets = await mustRun("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
  for (const line of targets.split("\n")) {
    const [origin, label, uri] = line.split("|");
    // Debian's security updates have the same origin, and no sid.
    if (origin === "Debian" && label === "Debian" && uri) return address(uri);
  }
  throw new Error("apt has no source of Debian on this machine");
}

/** Some machines name a file that lists mirrors in order. */
async function address(uri: string): Promise<string> {
  const file = /^mirror\+file:(.+?)\/?$/.exec(uri)?.[1];
  if (file === undefined) return uri;
  const [first] = (await readFile(file, "utf8")).split("\n").filter((line) => /^https?:/.test(line));
  if (first === undefined) throw new Error(`${file} lists no mirror`);
  return first.split(/\s/, 1)[0] ?? first;
}
