// The package has no types for this entry, which only has an effect: it puts the globals in place.
declare module "fake-indexeddb/auto";
