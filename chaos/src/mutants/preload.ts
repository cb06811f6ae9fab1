/** Loaded before everything else in the processes of a mutant: the packages that they load lack a safeguard. */
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { mutantsNamed, patched } from "./mutants.ts";

const [mutant] = mutantsNamed(process.env.CHAOS_MUTANT ?? "");
const packages = fileURLToPath(new URL("../../../packages/", import.meta.url));

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.startsWith("file:") || loaded.source === undefined || loaded.source === null) return loaded;
    const path = fileURLToPath(url);
    const patches = mutant?.patches.filter(({ file }) => path === `${packages}${file}`) ?? [];
    if (patches.length === 0) return loaded;
    const source =
      typeof loaded.source === "string" ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
    return { ...loaded, source: patched(source, patches) };
  },
});
