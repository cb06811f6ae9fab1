import type { KeyStoreError } from "./errors.ts";
import type { ProcessCounters } from "./stats.ts";

const WINDOW = 1_024;

/** The latest durations, for percentiles. */
class Latencies {
  readonly #ring = new Float64Array(WINDOW);
  #count = 0;

  add(ms: number): void {
    this.#ring[this.#count % WINDOW] = ms;
    this.#count += 1;
  }

  /** The least duration that a share of `p` of them does not exceed; 0 where there is none. */
  percentiles<P extends number>(...ps: P[]): number[] {
    const sorted = this.#ring.slice(0, Math.min(this.#count, WINDOW)).sort();
    return ps.map((p) => sorted[Math.max(0, Math.ceil(sorted.length * p) - 1)] ?? 0);
  }
}

/** What this process did with a key store: counted here, shown in its stats. */
export class Counters {
  commits = 0;
  reads = 0;
  cacheHits = 0;
  cacheMisses = 0;
  retries = 0;
  #lastError: ProcessCounters["lastError"];
  readonly #latencies = new Latencies();

  committed(ms: number): void {
    this.commits += 1;
    this.#latencies.add(ms);
  }

  failed(error: KeyStoreError): void {
    this.#lastError = Object.freeze({ code: error.code, message: error.message, at: new Date() });
  }

  snapshot(): ProcessCounters {
    const { commits, reads, cacheHits, cacheMisses, retries } = this;
    const asked = cacheHits + cacheMisses;
    const [p50 = 0, p99 = 0] = this.#latencies.percentiles(0.5, 0.99);
    return {
      commits,
      reads,
      cacheHits,
      cacheMisses,
      cacheHitRate: asked === 0 ? 0 : cacheHits / asked,
      commitLatencyMs: { p50, p99 },
      retries,
      lastError: this.#lastError,
    };
  }
}
