import { type KeyStore, KeyStoreError, type LazyKeyStore, messageOf } from "@holdfast/key-store-core";

type Importer = (specifier: string) => Promise<unknown>;

/** How adapters are imported: they are optional, so a program without one must still start. */
const importInstalled: Importer = (specifier) => import(specifier);

/**
 * A candidate for the resolver whose adapter is imported when it is tried.
 * That the adapter is not installed is a reason to try the next one.
 */
export function adapterCandidate<Module>(
  name: string,
  specifier: string,
  make: (adapter: Module) => KeyStore,
  importAdapter: Importer = importInstalled,
): LazyKeyStore {
  return {
    name,
    async create() {
      let adapter: Module;
      try {
        adapter = (await importAdapter(specifier)) as Module;
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException;
        // Only where it is the adapter itself that is missing: not one of the modules that it needs.
        const missing = code === "ERR_MODULE_NOT_FOUND" && messageOf(cause).includes(`'${specifier}'`);
        const reason = missing
          ? `the adapter is not installed: npm install ${specifier}`
          : `the adapter ${specifier} could not be loaded: ${messageOf(cause)}`;
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", reason, { cause });
      }
      return make(adapter);
    },
  };
}
