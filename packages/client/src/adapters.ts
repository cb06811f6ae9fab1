import { type KeyStore, KeyStoreError, type LazyKeyStore } from "@holdfast/key-store-core";

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
        const missing = (cause as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
        const reason = missing
          ? `the adapter is not installed: npm install ${specifier}`
          : `the adapter ${specifier} could not be loaded`;
        throw new KeyStoreError("ERR_KEY_STORE_UNAVAILABLE", reason, { cause });
      }
      return make(adapter);
    },
  };
}
